//! Flow control: how much of a stream may be under way.

use crate::WINDOW;

/// The peer broke the rules of a window; the channel cannot be trusted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// More data than the window allows.
    #[error("peer sent {sent} bytes into a window of {left}")]
    Overrun {
        /// Bytes in the frame.
        sent: usize,
        /// Bytes that the window still allowed.
        left: u32,
    },
    /// Credit for data that was never sent.
    #[error("peer gave {credit} bytes of credit where at most {owed} were due")]
    ExcessCredit {
        /// Bytes of the credit message.
        credit: u32,
        /// Bytes sent and not yet credited.
        owed: u32,
    },
}

/// The sender's side: how many bytes may be sent now.
#[derive(Debug)]
pub struct SendWindow {
    left: u32,
}

impl SendWindow {
    /// A full window of [`WINDOW`] bytes.
    pub const fn new() -> Self {
        Self { left: WINDOW }
    }

    /// Bytes that may be sent now.
    pub fn available(&self) -> usize {
        self.left as usize
    }

    /// Takes at most `wanted` bytes out of the window and returns how many.
    #[must_use = "only the bytes taken may be sent"]
    pub fn take(&mut self, wanted: usize) -> usize {
        let taken = wanted.min(self.available());
        self.left -= taken as u32;
        taken
    }

    /// Gives back `bytes` that were taken and then not sent.
    pub fn give_back(&mut self, bytes: usize) {
        let room = WINDOW - self.left;
        self.left += u32::try_from(bytes).map_or(room, |bytes| bytes.min(room));
    }

    /// Takes in a `Window` message of the receiver.
    ///
    /// # Errors
    /// [`Violation::ExcessCredit`] when the credit exceeds what was sent; the
    /// window is then unchanged.
    pub fn credit(&mut self, bytes: u32) -> Result<(), Violation> {
        let owed = WINDOW - self.left;
        if bytes > owed {
            return Err(Violation::ExcessCredit { credit: bytes, owed });
        }
        self.left += bytes;
        Ok(())
    }
}

impl Default for SendWindow {
    fn default() -> Self {
        Self::new()
    }
}

/// The receiver's side: how many bytes the peer may still send, and how many
/// have been consumed without the peer knowing.
///
/// At any time `left + held + owed == WINDOW`, where `held` is what the caller
/// has received and not consumed: that is the most it ever has to buffer.
#[derive(Debug)]
pub struct ReceiveWindow {
    left: u32,
    owed: u32,
}

impl ReceiveWindow {
    /// A full window of [`WINDOW`] bytes.
    pub const fn new() -> Self {
        Self { left: WINDOW, owed: 0 }
    }

    /// Counts a data frame of `bytes`.
    ///
    /// # Errors
    /// [`Violation::Overrun`] when the peer had no right to send that much.
    pub fn received(&mut self, bytes: usize) -> Result<(), Violation> {
        let overrun = Violation::Overrun { sent: bytes, left: self.left };
        let bytes = u32::try_from(bytes).map_err(|_| overrun)?;
        self.left = self.left.checked_sub(bytes).ok_or(overrun)?;
        Ok(())
    }

    /// Counts `bytes` as handed on, and returns the credit to send to the peer
    /// once it is worth a message (half a window).
    #[must_use = "the peer stalls without its credit"]
    pub fn consumed(&mut self, bytes: usize) -> Option<u32> {
        let held = WINDOW - self.left - self.owed;
        self.owed += u32::try_from(bytes).map_or(held, |bytes| bytes.min(held));
        if self.owed < WINDOW / 2 {
            return None;
        }
        let credit = std::mem::take(&mut self.owed);
        self.left += credit;
        Some(credit)
    }
}

impl Default for ReceiveWindow {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_stops_at_the_end_of_its_window() {
        let mut window = SendWindow::new();
        assert_eq!(window.take(usize::MAX), WINDOW as usize);
        assert_eq!(window.take(1), 0);
        window.credit(10).unwrap();
        assert_eq!(window.take(100), 10);
        window.give_back(4);
        assert_eq!(window.available(), 4);
    }

    #[test]
    fn credit_beyond_what_was_sent_is_a_violation() {
        let mut window = SendWindow::new();
        assert_eq!(window.take(5), 5);
        assert_eq!(
            window.credit(u32::MAX),
            Err(Violation::ExcessCredit { credit: u32::MAX, owed: 5 })
        );
        assert_eq!(window.credit(6), Err(Violation::ExcessCredit { credit: 6, owed: 5 }));
        assert_eq!(window.credit(5), Ok(()));
    }

    #[test]
    fn data_beyond_the_window_is_a_violation() {
        let mut window = ReceiveWindow::new();
        window.received(WINDOW as usize).unwrap();
        assert_eq!(window.received(1), Err(Violation::Overrun { sent: 1, left: 0 }));
        assert!(matches!(window.received(usize::MAX), Err(Violation::Overrun { .. })));
    }

    #[test]
    fn consuming_more_than_was_received_earns_no_credit() {
        let mut window = ReceiveWindow::new();
        assert_eq!(window.consumed(usize::MAX), None);
        window.received(WINDOW as usize).unwrap();
        assert_eq!(window.consumed(usize::MAX), Some(WINDOW));
    }
}

//! PAX extended headers: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole
//! record (POSIX.1-2008, pax, "Extended Header"). Values are bytes: an extended
//! attribute may hold newlines and NUL.

use super::Refusal;

/// Splits an extended header into keys and values.
pub fn records(mut bytes: &[u8]) -> impl Iterator<Item = Result<(&[u8], &[u8]), Refusal>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let (record, rest) = split(bytes).map_or((None, &[][..]), |(r, rest)| (Some(r), rest));
        bytes = rest;
        Some(record.ok_or(Refusal::Pax))
    })
}

type Record<'a> = (&'a [u8], &'a [u8]);

fn split(bytes: &[u8]) -> Option<(Record<'_>, &[u8])> {
    let space = bytes.iter().take(20).position(|&b| b == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space])?).ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    let key = &record[..equals];
    (!key.is_empty()).then(|| ((key, &record[equals + 1..]), &bytes[length..]))
}

/// An unsigned decimal number and nothing else.
pub fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Appends a record to an extended header.
pub fn push(header: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let digits = |n: usize| n.to_string().len();
    // The length counts its own digits, which can add one more.
    let mut length = rest + digits(rest);
    length = rest + digits(length);
    header.extend_from_slice(format!("{length} ").as_bytes());
    header.extend_from_slice(key);
    header.push(b'=');
    header.extend_from_slice(value);
    header.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn lengths_count_themselves() {
        let mut header = Vec::new();
        push(&mut header, b"path", b"x");
        assert_eq!(header, b"9 path=x\n");
        for n in [88, 89, 90, 91, 92, 988, 989, 990, 991] {
            let mut header = Vec::new();
            push(&mut header, b"path", &vec![b'a'; n]);
            let length = decimal(header.split(|&b| b == b' ').next().unwrap()).unwrap();
            assert_eq!(length, header.len() as u64);
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in
            [&b"x"[..], b"5 a=", b"99 a=b\n", b"0 a=b\n", b"6 =bc\n", b"6 abc\n", b"+6 a=b\n"]
        {
            assert!(records(bad).any(|r| r.is_err()), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read(pairs in vec(("[a-zA-Z.]{1,20}", vec(any::<u8>(), 0..300)), 0..5)) {
            let mut header = Vec::new();
            for (key, value) in &pairs {
                push(&mut header, key.as_bytes(), value);
            }
            let read: Vec<_> = records(&header).map(|r| r.unwrap()).collect();
            let pushed: Vec<_> = pairs.iter().map(|(k, v)| (k.as_bytes(), &v[..])).collect();
            prop_assert_eq!(read, pushed);
        }

        #[test]
        fn any_bytes_are_safe(bytes in vec(any::<u8>(), 0..200)) {
            records(&bytes).for_each(drop);
        }
    }
}

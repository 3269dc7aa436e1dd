//! Gives an owner an address on the default network and publishes a port of it:
//! `publish_port DIR OWNER 8080:80`. The lease is printed as JSON and stays until
//! `publish_port DIR OWNER` without a port takes it back.

use std::path::Path;

use vxn::network::{DEFAULT, Defaults, Networks, Owner, Publish, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(dir), Some(id)) = (args.next(), args.next()) else {
        return Err("usage: publish_port DIR OWNER [PORT:PORT]".into());
    };
    let networks = Networks::new(Path::new(&dir), Path::new(&dir), Defaults::default());
    let Some(port) = args.next() else {
        return Ok(networks.release(&id)?);
    };
    let request = Request {
        network: DEFAULT.to_owned(),
        ports: Publish::parse(&port)?,
        ..Request::default()
    };
    let owner = Owner { name: format!("owner {id}"), id };
    println!("{}", serde_json::to_string_pretty(&networks.attach(&owner, &request)?)?);
    Ok(())
}

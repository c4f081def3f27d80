//! The parser as a whole: the table of cases, cut and snapped frames, links, and properties.

mod claimed;
mod links;
mod properties;
mod table;
mod vectors;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::build::cases::Hosts;

pub(crate) const HOSTS: Hosts = Hosts {
    source: (Ipv4Addr::new(10, 9, 0, 2), Ipv6Addr::new(0xFD09, 0, 0, 0, 0, 0, 0, 2)),
    destination: (Ipv4Addr::new(10, 9, 0, 1), Ipv6Addr::new(0xFD09, 0, 0, 0, 0, 0, 0, 1)),
    port: 7000,
};

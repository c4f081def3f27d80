//! Answers that would leave another way than their questions came: with strict source checks the kernel drops the questions.

use aldaba_config::{Interfaces, Policy};

use super::Finding;

/// `RTF_REJECT` of a line in /proc/net/route.
const REJECT: u32 = 0x200;

/// Packet sockets hear a knock before the kernel's check does: the door opens, and the connection behind it goes nowhere.
pub(super) fn look(policy: &Policy) -> Vec<Finding> {
    let Interfaces::Named(names) = &policy.daemon.interfaces else { return Vec::new() };
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let defaults = default_interfaces(&routes);
    let elsewhere = names.iter().filter(|name| !defaults.contains(name));
    elsewhere
        .filter(|name| is_strict(name))
        .filter_map(|name| Some(finding(name, defaults.first()?)))
        .collect()
}

fn finding(name: &str, other: &str) -> Finding {
    let seen = format!(
        "{name} is strict about sources (rp_filter = 1), and the default route leads through {other}: what clients from \
         beyond {name}'s own networks send is dropped there, though their knocks are heard"
    );
    let help = format!(
        "sysctl net.ipv4.conf.{name}.rp_filter=2; or let answers leave through {name} (ip rule, ip route)"
    );
    Finding::doubtful("routes", seen, help)
}

/// The larger of both settings counts (ip-sysctl of the kernel's documentation).
fn is_strict(name: &str) -> bool {
    let setting = |of: &str| -> u8 {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{of}/rp_filter"));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
    };
    setting("all").max(setting(name)) == 1
}

/// The interfaces of routes to everywhere, from the kernel's table (proc(5)).
fn default_interfaces(table: &str) -> Vec<String> {
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (name, to, flags, mask) = (fields.first()?, fields.get(1)?, fields.get(3)?, fields.get(7)?);
        let leads = u32::from_str_radix(flags, 16).ok()? & REJECT == 0;
        (leads && *to == "00000000" && *mask == "00000000").then(|| (*name).to_owned())
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_to_everywhere_are_read_from_the_kernels_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
            eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth1\t0000090A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
            eth2\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
            *\t00000000\t00000000\t0200\t0\t0\t9999\t00000000\t0\t0\t0\n";
        assert_eq!(default_interfaces(table), ["eth0"]);
    }
}

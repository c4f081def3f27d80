//! Whose a table is: what a daemon has left under another name is told from everybody else's.

use super::*;

fn named(name: &str) -> TableSpec {
    TableSpec { name: name.into(), ..spec() }
}

fn guarding(firewall: &mut Nft) -> Vec<(String, bool)> {
    let mut found = firewall.guarding_tables(&[spec().mark]).expect("the kernel tells them");
    found.sort_by(|a, b| a.table.cmp(&b.table));
    found.into_iter().map(|Guarding { table, is_ours }| (table, is_ours)).collect()
}

fn owned(tables: &[(&str, bool)]) -> Vec<(String, bool)> {
    tables.iter().map(|(table, ours)| ((*table).to_owned(), *ours)).collect()
}

#[test]
fn our_tables_are_known_under_any_name_and_nobody_elses_is() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        assert_eq!(guarding(&mut firewall), []);
        firewall.ensure_in_place_of(&named("aldaba"), &[]).unwrap();
        firewall.ensure_in_place_of(&named("puerta"), &[]).unwrap();
        // Another daemon's; a copy under a new name; and one that only looks like it.
        let other = TableSpec { mark: Mark::of(&[b"another"]), ..named("another") };
        firewall.ensure_in_place_of(&other, &[]).unwrap();
        load(&nft("list table inet aldaba").replace("table inet aldaba", "table inet copy"));
        load("table inet mine { chain guard { type filter hook input priority -10; tcp dport 22 drop; }; }");
        let others = [("another", false), ("copy", false), ("mine", false)];
        let all = |ours: &[(&str, bool)]| {
            let mut all = owned(&[ours, &others].concat());
            all.sort();
            all
        };
        // No guards: of that name elsewhere, or nowhere, or there under another name.
        load(
            "table inet later { chain guard { type filter hook input priority 0; }; }
             table inet way { chain guard { type filter hook forward priority -10; }; }
             table inet aside { chain guard { }; }
             table inet other { chain first { type filter hook input priority -10; }; }",
        );
        // Whatever somebody has put before the mark.
        nft("insert rule inet puerta guard tcp dport 22 accept");
        assert_eq!(guarding(&mut firewall), all(&[("aldaba", true), ("puerta", true)]));
        firewall.ensure_in_place_of(&named("door"), &["aldaba".into(), "puerta".into()]).unwrap();
        assert_eq!(guarding(&mut firewall), all(&[("door", true)]));
        let marked = nft("list chain inet door guard");
        let comment =
            marked.split("comment ").nth(1).and_then(|rest| rest.split('"').nth(1)).expect("a comment");
        nft("flush chain inet door guard");
        assert_eq!(guarding(&mut firewall), all(&[("door", false)]), "it guards nothing any more");
        nft("add chain inet door another");
        nft(&format!("add rule inet door another accept comment \"{comment}\""));
        assert_eq!(guarding(&mut firewall), all(&[("door", false)]), "the mark of another chain's is none");
        nft(&format!("add rule inet door guard accept comment \"{comment}\""));
        assert_eq!(guarding(&mut firewall), all(&[("door", true)]));
    });
}

#[test]
fn what_is_open_in_a_table_is_so_in_the_one_that_takes_its_place() {
    in_namespace(|| {
        let (mut firewall, new) = (Nft::open().unwrap(), named("puerta"));
        firewall.ensure_in_place_of(&named("aldaba"), &[]).unwrap();
        let most = u16::try_from(Nft::MOST_TOGETHER).unwrap();
        let address = |number: u16| -> IpAddr { [0x2001, 0xdb8, 0, 0, 0, 0, 0, number].into() };
        let from = named("aldaba").set_of("ssh", address(0)).unwrap();
        for first in [0, most] {
            let some = (first..first + most).map(|number| (address(number), Some(Duration::from_secs(600))));
            assert!(firewall.change_together(&from, &some.collect::<Vec<_>>()).unwrap());
        }
        nft("add element inet aldaba door_ssh_v4 { 192.0.2.7 timeout 600s expires 20s }");
        nft("add element inet aldaba door_ssh_v4 { 192.0.2.8 timeout 0s }");
        firewall.ensure_in_place_of(&new, &["aldaba".into()]).unwrap();
        let to = new.set_of("ssh", address(0)).unwrap();
        assert_eq!(firewall.members(&to).unwrap().len(), 2 * usize::from(most));
        let text = nft("list set inet puerta door_ssh_v4");
        assert!(text.contains("192.0.2.7 timeout 1") && !text.contains("192.0.2.8"), "{text}");
        assert!(!nft("list tables").contains("aldaba"));
    });
}

#[test]
fn a_table_without_its_mark_gets_one_and_keeps_its_elements() {
    in_namespace(|| {
        let (mut firewall, table) = (Nft::open().unwrap(), spec());
        firewall.ensure_in_place_of(&TableSpec { mark: Mark::of(&[b"of before"]), ..spec() }, &[]).unwrap();
        let address: IpAddr = "192.0.2.7".parse().unwrap();
        let set = table.set_of("ssh", address).unwrap();
        firewall.add_element(&set, address, Duration::from_secs(60)).unwrap();
        assert!(!firewall.own_table(&table).unwrap().unwrap().is(&table));
        firewall.ensure_in_place_of(&table, &[]).unwrap();
        assert!(firewall.own_table(&table).unwrap().unwrap().is(&table));
        assert!(firewall.members(&set).unwrap().contains(&address));
    });
}

/// R7: the table that a configuration names may be the administrator's own.
#[test]
fn r7_a_table_of_somebody_elses_is_told_from_ours_of_any_age() {
    in_namespace(|| {
        let mut firewall = Nft::open().unwrap();
        let mut whose = |what: &str, part: Option<&str>| {
            assert_eq!(
                firewall.anothers("aldaba").unwrap().as_deref(),
                part,
                "{what}:\n{}",
                nft("list ruleset")
            );
        };
        whose("none", None);
        nft("add table inet aldaba");
        whose("an empty one", None);
        make(&spec());
        whose("ours", None);
        nft("add chain inet aldaba mine; add set inet aldaba more { type ipv4_addr; }");
        whose("ours, with what somebody has put there", None);
        let other = TableSpec { mark: Mark::of(&[b"another"]), ..spec() };
        make(&other);
        whose("another configuration's", None);
        nft("flush chain inet aldaba guard");
        whose("of which nothing says whose it is", Some("chain mine"));
        nft("delete chain inet aldaba mine");
        whose("the same", Some("set more"));
        nft("delete set inet aldaba more");
        whose("one from before marks", None);
        nft("flush table inet aldaba; delete chain inet aldaba guard");
        whose("and what a flush has left", None);
        for (part, text) in [
            ("chain input", "chain input { type filter hook input priority 0; }"),
            ("chain guard", "chain guard { type filter hook input priority 0; tcp dport 22 drop; }"),
            ("chain guard", "chain guard { tcp dport 22 drop; }"),
            ("chain tcp_22", "chain tcp_22 { type filter hook input priority -10; }"),
            ("set ok", "set ok { type ipv4_addr; flags timeout; }"),
            ("set m", "map m { type ipv4_addr : verdict; }"),
        ] {
            nft("delete table inet aldaba");
            load(&format!("table inet aldaba {{ {text}; }}"));
            whose("the administrator's", Some(part));
        }
        nft("delete table inet aldaba");
        load("table ip aldaba { chain input { type filter hook input priority 0; }; }");
        whose("one of another family", None);
    });
}

fn make(table: &TableSpec) {
    let made = Nft::open().and_then(|mut firewall| firewall.ensure_in_place_of(table, &[]));
    made.expect("it is made");
}

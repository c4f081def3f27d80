//! temporary
use super::bench::*;
use crate::*;
use std::time::Duration;
struct Quiet;
impl Sink for Quiet { fn wants_stages(&self)->bool{false} fn stage(&mut self,_:std::net::IpAddr,_:PatternId,_:u8){} fn expired(&mut self,_:std::net::IpAddr,_:PatternId,_:u8){} fn complete(&mut self,_:std::net::IpAddr,_:PatternId){} }
#[test]
fn perf() {
  for entries in [1usize<<16, 1<<20] { for doors in [1u16, 1000] { for mode in [Mode::Compatible, Mode::Strict] {
    let p: Vec<Pattern> = (0..doors).map(|d| pattern(mode, &format!("{},{},{}", 7000+d, 8000+d, 9000+d), "syn,!ack")).collect();
    let mut t = Tracker::new(&p, &[], Limits{entries}, [1;16]).unwrap();
    let b = std::time::Instant::now();
    let n = 4_000_000u32;
    for i in 0..n { t.hit(Duration::from_nanos(u64::from(i)*2500), &[SCOPE], &syn(source(i), 7000, u64::from(i)+1), &mut Quiet); }
    let hit = b.elapsed()/n;
    let b = std::time::Instant::now();
    for i in 0..n { t.hit(Duration::from_secs(10), &[SCOPE], &syn(source(i), 17000, u64::from(i)+1), &mut Quiet); }
    let stray = b.elapsed()/n;
    let b = std::time::Instant::now();
    t.expire(Duration::from_secs(10), &mut Quiet); let sweep=b.elapsed();
    let b = std::time::Instant::now();
    t.expire(Duration::from_secs(40), &mut Quiet); let sweep2=b.elapsed();
    let b = std::time::Instant::now();
    t.replace(Duration::from_secs(40), PatternId(0), None); let rep=b.elapsed();
    println!("{entries} {doors} {mode:?}: first knock {hit:?} stray {stray:?} sweep {sweep:?} {sweep2:?} replace {rep:?}");
  }}}
}

//! Machines that are not there, as statuses: what a page must show and a running machine seldom does.
//!
//! Not a simulation: the numbers are drawn here. Used by `page.rs` and by the example `preview`.

use model::{
    ChainState, ChainStatus, CpuStatus, FanStatus, Fault, FaultCode, FaultStatus, PausedBy, SensorStatus, ShareCounts, Status,
    UpstreamStatus, WorkerStatus,
};

/// What a name looks like whose owner means no good.
pub const HOSTILE: &str = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>";

/// A fault of the catalogue.
pub fn fault(code: FaultCode, place: &str, detail: &str) -> FaultStatus {
    FaultStatus::from(&Fault { code, place: place.into(), detail: detail.into() })
}

fn sensors(chain: u8, celsius: [Option<f64>; 2]) -> Vec<SensorStatus> {
    let places = ["inlet", "outlet"].into_iter().zip(celsius);
    places.map(|(place, celsius)| SensorStatus { place: format!("chain {chain} {place}"), celsius }).collect()
}

fn upstream(url: &str, active: bool, state: &str, shares: ShareCounts) -> UpstreamStatus {
    UpstreamStatus { url: url.into(), active, state: state.into(), difficulty: "65536".into(), shares }
}

/// A machine that mines as it should, some seconds later each time.
pub fn well(second: u64) -> Status {
    let wobble = |phase: f64| 1.0 + 0.02 * (second as f64 / 7.0 + phase).sin();
    let chains: Vec<ChainStatus> = (0..3u8)
        .map(|id| ChainStatus {
            id,
            state: ChainState::Hashing,
            chips: 126,
            chips_expected: 126,
            clock_hertz: 525e6,
            volts: 13.8,
            hashes_per_second: 34.6e12 * wobble(f64::from(id)),
            expected_hashes_per_second: 34.6e12,
            chip_celsius: Some(66.4 + f64::from(id)),
            sensors: sensors(id, [Some(31.5 + f64::from(id)), Some(51.25 + f64::from(id))]),
            nonces: 48_000 + second,
            hardware_errors: 12,
            shares_accepted: 6_078,
            ..ChainStatus::default()
        })
        .collect();
    let shares = ShareCounts { accepted: 18_234 + second, rejected: 3, stale: 12 };
    Status {
        version: env!("CARGO_PKG_VERSION").into(),
        product: "antminer-s19jpro".into(),
        simulated: false,
        mining: true,
        uptime_seconds: 93_784 + second,
        hashes_per_second: chains.iter().map(|c| c.hashes_per_second).sum(),
        expected_hashes_per_second: chains.iter().map(|c| c.expected_hashes_per_second).sum(),
        shares,
        best_difficulty: "48211934.25".into(),
        upstream: Some("stratum+tcp://pool.example.com:3333".into()),
        upstreams: vec![
            upstream("stratum+tcp://pool.example.com:3333", true, "connected", shares),
            upstream("stratum+tcp://spare.example.net:3333", false, "connecting", ShareCounts::default()),
        ],
        chains,
        cpus: (0..2)
            .map(|id| CpuStatus { id, state: ChainState::Hashing, hashes_per_second: 8.5e6, ..CpuStatus::default() })
            .collect(),
        fans: (0..4).map(|id| FanStatus { id, duty_percent: 62.0, rpm: Some(4_380.0) }).collect(),
        ..Status::default()
    }
}

/// The same machine told to stop.
pub fn stopped(second: u64) -> Status {
    let mut s = well(second);
    s.mining = false;
    (s.hashes_per_second, s.expected_hashes_per_second) = (0.0, 0.0);
    for c in &mut s.cpus {
        (c.state, c.hashes_per_second) = (ChainState::Off, 0.0);
    }
    for c in &mut s.chains {
        c.state = ChainState::Off;
        (c.clock_hertz, c.volts, c.hashes_per_second, c.expected_hashes_per_second) = (0.0, 0.0, 0.0, 0.0);
    }
    s
}

/// The same machine in a pause that somebody asked for.
pub fn paused(second: u64, by: PausedBy) -> Status {
    let mut s = well(second);
    (s.paused, s.paused_by) = (true, Some(by));
    (s.hashes_per_second, s.expected_hashes_per_second) = (0.0, 9.9e12);
    for c in &mut s.cpus {
        (c.state, c.hashes_per_second) = (ChainState::Off, 0.0);
    }
    for c in &mut s.chains {
        (c.clock_hertz, c.hashes_per_second, c.expected_hashes_per_second) = (50e6, 0.0, 3.3e12);
    }
    s
}

/// A simulated machine with a fault of every severity: a chain off for want of a temperature, one hot, one that stopped
/// reporting, a fan that stands, a bad settings file.
pub fn troubled(second: u64) -> Status {
    let mut s = well(second);
    s.simulated = true;
    s.chains[0].chip_celsius = Some(93.0);
    s.chains[0].state = ChainState::Ramping;
    s.chains[0].hashes_per_second *= 0.6;
    let off = &mut s.chains[1];
    (off.state, off.chip_celsius, off.volts, off.clock_hertz) = (ChainState::Cooling, None, 0.0, 0.0);
    (off.hashes_per_second, off.expected_hashes_per_second) = (0.0, 0.0);
    off.sensors = sensors(1, [None, Some(48.0)]);
    let failed = &mut s.chains[2];
    (failed.state, failed.chips, failed.hashes_per_second) = (ChainState::Failed, 0, 0.0);
    s.hashes_per_second = s.chains.iter().map(|c| c.hashes_per_second).sum();
    s.fans[3].rpm = None;
    s.faults = vec![
        fault(FaultCode::SettingsRefused, "settings", "config.yaml:2:3: unknown key 'algorthm'; did you mean 'algorithm'?"),
        fault(FaultCode::TooHot, "chain 0", "93.0 °C, hot from 90.0 °C"),
        fault(FaultCode::ChainSilent, "chain 2", "no reply for 12 s"),
        fault(FaultCode::SensorLost, "chain 1 sensor 0", "read TMP75 at 0x4a: no acknowledge"),
    ];
    // The catalogue has no notice yet; the page must know the word all the same.
    let text = |t: &str| t.to_owned();
    let (code, severity, title) = (text("clock-adjusted"), text("notice"), text("The clock was set by the network"));
    s.faults.push(FaultStatus { code, severity, title, advice: text("Nothing to do."), ..FaultStatus::default() });
    s
}

/// Neither a pool nor a coin in the settings.
pub fn nowhere(second: u64) -> Status {
    let mut s = stopped(second);
    s.mining = true;
    (s.upstream, s.upstreams, s.shares, s.best_difficulty) = (None, Vec::new(), ShareCounts::default(), String::new());
    s.faults = vec![fault(FaultCode::NoUpstream, "upstreams", "")];
    s
}

/// A machine that is a pool, for miners of whom one means no good.
pub fn pool(second: u64, miners: usize) -> Status {
    let mut s = well(second);
    let worker = |i: usize| WorkerStatus {
        name: if i == 1 { HOSTILE.to_owned() } else { format!("rig{i}.worker") },
        shares: ShareCounts { accepted: 1_000 - (i as u64).min(1_000), rejected: 1, stale: 2 },
        difficulty: "0.000030517578125".into(),
    };
    s.pool = Some((0..miners).map(worker).collect());
    s
}

//! How fast one thread hashes, by each path that the machine has.

use crate::figure::{Figure, Goal, Report};
use crate::program::finished;
use algorithm::Path;
use anyhow::Context;
use serde_json::Value;

/// How often each path is measured; a median of three throws one disturbance out.
const REPETITIONS: usize = 3;

/// Rates of each path, by the wall's clock and by the processor's.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    for path in Path::ALL {
        let name = format!("sha256d_{}", path.to_string().replace('-', "_"));
        if !path.is_available() {
            report.skip(&name, "this processor lacks its instructions");
            continue;
        }
        report.doing(&format!("hashing by {path}, {REPETITIONS} times 5 s"));
        let (mut wall, mut cpu) = (Vec::new(), Vec::new());
        for _ in 0..REPETITIONS {
            let path = path.to_string();
            let args = ["bench", "sha256d", "--threads", "1", "--seconds", "5", "--path", &path, "--json"];
            let said: Value = serde_json::from_slice(&finished(&args)?.0).context("read what 'otedama bench' said")?;
            let rate = |key: &str| said[key].as_f64().with_context(|| format!("find {key} in {said}"));
            wall.push(rate("hashes_per_second")?);
            cpu.push(rate("hashes_per_cpu_second")?);
        }
        report.add(&Figure::of_rates(format!("{name}_hashes_per_second"), &wall, Goal::None));
        report.add(&Figure::of_rates(format!("{name}_hashes_per_cpu_second"), &cpu, Goal::None));
    }
    Ok(())
}

//! `man`: one page, which holds the commands' own options too.

use std::io::{self, Write};

use clap_mangen::Man;

/// The page of this command line, in roff.
pub(super) fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let name = command.get_name().to_owned();
    let usage = format!("{name} [OPTION]... [COMMAND]");
    let whole = Man::new(command.clone().override_usage(usage));
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    writeln!(page, ".SH COMMANDS")?;
    for own in command.get_subcommands() {
        let called = format!("{name} {}", own.get_name());
        let mut own = own.clone().disable_help_flag(true).bin_name(called);
        let usage = own.render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").replace('-', "\\-");
        writeln!(page, ".SS {usage}")?;
        let about = own.get_long_about().or_else(|| own.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        writeln!(page, "{}", about.replace('-', "\\-"))?;
        let mut options = Vec::new();
        Man::new(own).render_options_section(&mut options)?;
        let options = String::from_utf8_lossy(&options);
        let lines = options.lines().filter(|line| !line.starts_with(".SH "));
        for line in lines {
            writeln!(page, "{line}")?;
        }
    }
    whole.render_options_section(&mut page)?;
    page.extend_from_slice(REST.as_bytes());
    Ok(page)
}

/// What the parser of the command line knows nothing of.
const REST: &str = r#".SH SIGNALS
.TP
SIGHUP
The settings are read again. What needs a restart is named; wrong settings change nothing.
.TP
SIGTERM, SIGINT
Answers under way are finished, then it ends with 0.
.SH "EXIT STATUS"
.TP
0
All went well.
.TP
1
It failed, and why is one line on standard error.
.TP
2
An argument, a variable or the file of settings is wrong.
.TP
3
Of
.BR doctor :
energy is not measured, or CPU time is not told by eBPF, and the next best stands in for it.
.PP
.B measure
ends as its command did.
.SH FILES
.TP
.I /etc/kepler/kepler.config/
Settings of Kepler 0.7, one file a key; everything else goes over them.
.TP
.IR /sys/class/powercap ", " /sys/class/hwmon
The meters, readable by root where the administrator has not changed that.
.SH EXAMPLES
.EX
kepler\-exporter \-\-config.check
curl localhost:28282/metrics
kepler\-exporter measure \-r 5 \-\- make
.EE
.SH "SEE ALSO"
.BR promtool (1),
.BR perf\-stat (1),
.BR powercap\-info (1),
.BR capabilities (7)
"#;

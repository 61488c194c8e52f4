//! Loggers from the command line: for production and support, and for scripts.
//!
//! Each command runs on all loggers that were chosen, at once. What a script reads goes to standard output; progress and
//! errors go to standard error. It never reports a success that the logger did not.

mod answer;
mod command;
mod download;
mod firmware;
mod info;
mod port;
mod settings;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Parser;
use indicatif::MultiProgress;

use answer::{Answer, Problem};
use command::{Command, Manner};
use port::Found;

/// Configures, updates and reads out Logdock loggers.
#[derive(Parser)]
#[command(name = "logdock", after_help = EXIT_CODES)]
struct Arguments {
    /// Only the logger at this port, such as /dev/ttyACM0 or COM3; may be given several times
    #[arg(long, value_name = "PATH", global = true)]
    port: Vec<String>,
    /// Only the logger with this serial number; may be given several times
    #[arg(long, value_name = "NUMBER", global = true)]
    serial: Vec<String>,
    /// All loggers that are plugged in
    #[arg(long, global = true, conflicts_with_all = ["port", "serial"])]
    all: bool,
    /// Prints what a script can read: a JSON array with one object for each logger
    #[arg(long, global = true)]
    json: bool,
    /// How long a logger that is unplugged on the way is waited for
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 60)]
    wait: u64,
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 it was done on every logger; 1 it failed on at least one; 2 the command line is wrong; \
3 there is no logger, or several and none was named; 4 the logger or the file refused, and nothing was changed.";

/// No logger, or several and none was named.
const NO_LOGGER: u8 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let found = match port::find() {
        Ok(found) => found,
        Err(error) => return fail(&format!("{error}"), 1),
    };
    if let Command::List = arguments.command {
        print(&list(&found), arguments.json);
        return ExitCode::SUCCESS;
    }
    let chosen = match choose(&arguments, found) {
        Ok(chosen) => chosen,
        Err(problem) => return fail(&problem, NO_LOGGER),
    };
    if let Err(problem) = arguments.command.check(chosen.len()) {
        return fail(&problem, 2);
    }
    let manner = Manner {
        bars: MultiProgress::new(),
        wait: Duration::from_secs(arguments.wait),
        json: arguments.json,
    };
    let answers: Vec<Answer> = thread::scope(|scope| {
        let running: Vec<_> = chosen
            .into_iter()
            .map(|found| {
                let (command, manner, on) = (&arguments.command, &manner, found.clone());
                let thread = scope.spawn(move || command::run(command, &on, manner));
                (found, thread)
            })
            .collect();
        running
            .into_iter()
            .map(|(found, thread)| Answer {
                found,
                result: thread
                    .join()
                    .unwrap_or_else(|_| Err(Problem::Failed("logdock itself failed here.".into()))),
            })
            .collect()
    });
    match arguments.command {
        // Its answers are out already.
        Command::Watch(_) => answers
            .iter()
            .filter(|answer| answer.result.is_err())
            .for_each(|answer| match arguments.json {
                true => println!("{}", answer.to_json()),
                false => answer.print(answers.len() > 1),
            }),
        _ => print(&answers, arguments.json),
    }
    let worst = answers
        .iter()
        .filter_map(|answer| answer.result.as_ref().err())
        .map(Problem::exit_code)
        .min();
    worst.map_or(ExitCode::SUCCESS, ExitCode::from)
}

fn list(found: &[Found]) -> Vec<Answer> {
    found
        .iter()
        .map(|found| Answer {
            found: found.clone(),
            result: Ok(Default::default()),
        })
        .collect()
}

/// Which loggers are meant.
fn choose(arguments: &Arguments, found: Vec<Found>) -> Result<Vec<Found>, String> {
    if arguments.port.is_empty() && arguments.serial.is_empty() {
        return match found.len() {
            0 => Err("There is no logger. Plug one in; if it is behind a serial adapter, name its port with --port.".into()),
            1 => Ok(found),
            _ if arguments.all => Ok(found),
            count => {
                let mut problem = format!("There are {count} loggers. Name one with --serial, or take all with --all:");
                for found in &found {
                    problem += &format!("\n  {found}");
                }
                Err(problem)
            }
        };
    }
    let mut chosen: Vec<_> = arguments
        .port
        .iter()
        .map(|path| {
            let known = found.iter().find(|found| found.path == *path);
            known.cloned().unwrap_or(Found {
                path: path.clone(),
                serial: None,
            })
        })
        .collect();
    for serial in &arguments.serial {
        let known = found
            .iter()
            .find(|found| {
                found
                    .serial
                    .as_ref()
                    .is_some_and(|known| known.eq_ignore_ascii_case(serial))
            })
            .ok_or_else(|| format!("There is no logger with the serial number {serial}."))?;
        chosen.push(known.clone());
    }
    chosen.sort();
    chosen.dedup();
    Ok(chosen)
}

fn print(answers: &[Answer], json: bool) {
    if json {
        let all: Vec<_> = answers.iter().map(Answer::to_json).collect();
        println!("{:#}", serde_json::Value::Array(all));
    } else {
        for answer in answers {
            answer.print(answers.len() > 1);
        }
    }
}

fn fail(problem: &str, code: u8) -> ExitCode {
    eprintln!("logdock: {problem}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn found(path: &str, serial: &str) -> Found {
        Found {
            path: path.into(),
            serial: Some(serial.into()),
        }
    }

    fn chosen(words: &[&str], found: &[Found]) -> Result<Vec<Found>, String> {
        let words = ["logdock"].iter().chain(words).chain(&["info"]);
        choose(&Arguments::parse_from(words), found.to_vec())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn one_logger_needs_no_name_and_several_do() {
        let (a, b) = (found("/dev/ttyACM0", "AA"), found("/dev/ttyACM1", "BB"));
        assert_eq!(chosen(&[], std::slice::from_ref(&a)), Ok(vec![a.clone()]));
        assert!(chosen(&[], &[]).is_err());
        let both = [a.clone(), b.clone()];
        assert!(
            chosen(&[], &both)
                .unwrap_err()
                .contains("BB at /dev/ttyACM1")
        );
        assert_eq!(chosen(&["--all"], &both), Ok(both.to_vec()));
        assert_eq!(chosen(&["--serial", "bb"], &both), Ok(vec![b.clone()]));
        assert_eq!(
            chosen(&["--port", "/dev/ttyACM1", "--serial", "BB"], &both),
            Ok(vec![b])
        );
        assert!(chosen(&["--serial", "CC"], &both).is_err());
    }

    #[test]
    fn a_port_that_is_named_need_not_be_a_usb_port() {
        let bridge = chosen(&["--port", "/dev/ttyUSB0"], &[]).unwrap();
        assert_eq!(bridge[0].serial, None);
    }
}

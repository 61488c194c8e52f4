//! Power cuts: every operation on flash, EEPROM and NAND in a scenario is cut before it, inside it and after it; then
//! the logger must come up with one whole image and all its settings, and take the next update to its end.

use std::time::Duration;

use emulator::fault::{CutPoint, Place};
use emulator::machine::{Halt, Machine};
use emulator::time::Time;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::device::Device;
use host::protocol::device::{Phase, Program};
use host::protocol::image::Digest;
use host::protocol::message::CommonRequest;
use host::settings::{self, Value};
use host::update::update;

use crate::{EmulatedLink, connect, factory_logger, firmware, restart, stage, updated_logger};

/// How long a logger may take to be there again: the longest is keeping the old image, installing, and putting it back.
const COMING_BACK: Duration = Duration::from_secs(30);
/// First address of the application's slot.
pub(crate) const APPLICATION: u32 = 0x0800_7000;
/// The name that a logger has before a scenario, and the one it may have after.
const OLD_NAME: &str = "Before";
const NEW_NAME: &str = "After";

/// Something a logger does that changes its memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// From the factory image to 1.1.0, confirmed.
    Update,
    /// 1.1.0 is never confirmed and the old image is put back.
    Rollback,
    /// The bootloader itself takes an image, when there is no application.
    Reinstall,
    /// A setting is written.
    Settings,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 4] = [
        Scenario::Update,
        Scenario::Rollback,
        Scenario::Reinstall,
        Scenario::Settings,
    ];

    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Update => "update",
            Scenario::Rollback => "rollback",
            Scenario::Reinstall => "reinstall",
            Scenario::Settings => "settings write",
        }
    }

    fn start(self) -> EmulatedLink {
        let link = match self {
            Scenario::Update | Scenario::Rollback | Scenario::Reinstall => factory_logger(),
            Scenario::Settings => updated_logger(),
        };
        let (mut conversation, _) = connect(link);
        rename(&mut conversation, OLD_NAME);
        let mut link = conversation.into_link();
        if self == Scenario::Reinstall {
            link.machine.power_off();
            link.machine
                .program_flash(APPLICATION, &[0; 128])
                .expect("the header is in flash");
            link.machine.power_on();
        }
        link
    }

    fn act(self, conversation: &mut Conversation<EmulatedLink>, device: &Device) {
        let file = firmware("logger-1.1.0.bin");
        match self {
            Scenario::Update | Scenario::Reinstall => {
                block_on(update(conversation, device, &file, |_| {}))
                    .unwrap_or_else(|error| panic!("{error}"));
            }
            Scenario::Rollback => {
                stage(conversation, "logger-1.1.0.bin").expect("it is staged");
                for _ in 0..4 {
                    restart(conversation);
                }
            }
            Scenario::Settings => rename(conversation, NEW_NAME),
        }
    }

    /// Runs it once without a cut and keeps the moments before each operation.
    pub fn record(self) -> Vec<Moment> {
        let (mut conversation, device) = connect(self.start());
        conversation.link().record();
        self.act(&mut conversation, &device);
        conversation.into_link().take_moments()
    }
}

/// The logger shortly before operations on its memories.
#[derive(Clone)]
pub struct Moment {
    /// A snapshot.
    pub machine: Machine,
    /// Numbers of the operations that come within the next step.
    pub operations: core::ops::Range<u64>,
}

fn rename(conversation: &mut Conversation<EmulatedLink>, name: &str) {
    block_on(async {
        let settings = settings::read(conversation).await.expect("settings");
        let setting = settings
            .iter()
            .find(|setting| setting.name == "Name")
            .expect("a logger has a name");
        settings::write(conversation, &[(setting.id, Value::Text(name.into()))])
            .await
            .expect("the name is written");
    });
}

/// Lets the logger run until the planned cut takes its power.
fn run_to_the_cut(machine: &mut Machine, point: CutPoint) -> Result<(), String> {
    machine.cut_at(point);
    let end = machine.now() + Time::from_millis(200);
    while machine.now() < end {
        match machine.run_for(Time::from_millis(1)) {
            Ok(()) => {}
            Err(Halt::PowerLost) => return Ok(()),
            Err(halt) => return Err(format!("before the cut: {halt}")),
        }
    }
    Err("the cut never came".into())
}

/// The logger as it is after a cut in `moment`.
pub fn cut(moment: &Moment, point: CutPoint) -> Result<Machine, String> {
    let mut machine = moment.machine.clone();
    run_to_the_cut(&mut machine, point)?;
    Ok(machine)
}

/// Switches the logger on and lets it come up; the operations that its recovery takes.
pub fn come_up(mut machine: Machine) -> Result<(Machine, core::ops::Range<u64>), String> {
    let first = machine.operations();
    machine.power_on();
    machine.usb_mut().attach();
    let end = machine.now() + COMING_BACK.into();
    while !machine.usb().is_configured() {
        if machine.now() >= end {
            return Err("it does not come up".into());
        }
        machine
            .run_for(Time::from_millis(1))
            .map_err(|halt| format!("while it came up: {halt}"))?;
    }
    let operations = first..machine.operations();
    Ok((machine, operations))
}

/// A second cut while the logger comes up from the first.
pub fn cut_again(mut machine: Machine, point: CutPoint) -> Result<Machine, String> {
    machine.power_on();
    machine.usb_mut().attach();
    machine.cut_at(point);
    let end = machine.now() + COMING_BACK.into();
    while machine.now() < end {
        match machine.run_for(Time::from_millis(1)) {
            Ok(()) => {}
            Err(Halt::PowerLost) => return Ok(machine),
            Err(halt) => return Err(format!("before the second cut: {halt}")),
        }
    }
    Err("the second cut never came".into())
}

/// Whether the logger, switched on again, is as good as before: one whole image, its settings, and the next update goes
/// to its end. Otherwise what is wrong.
///
/// Where the scenario began without an application, the bootloader may still be waiting for one.
pub fn recovers(machine: Machine, scenario: Scenario) -> Result<(), String> {
    let (machine, _) = come_up(machine)?;
    block_on(async {
        let mut conversation = open(machine).await?;
        let device = read(&mut conversation).await?;
        let images = ["logger-1.0.0.bin", "logger-1.1.0.bin"].map(firmware);
        let waits = conversation.hello().program == Program::Bootloader;
        let other = match device.running {
            None if waits && scenario == Scenario::Reinstall => &images[1],
            None => return Err("it runs no image".into()),
            Some(running) => {
                let digest = running.digest;
                let index = images
                    .iter()
                    .position(|image| image.digest() == digest)
                    .ok_or_else(|| format!("it runs {digest}"))?;
                if matches!(device.phase, Phase::Trial { .. }) {
                    tell(&mut conversation, CommonRequest::Confirm { digest }).await?;
                }
                check_name(&mut conversation).await?;
                &images[1 - index]
            }
        };
        let after = update(&mut conversation, &device, other, |_| {})
            .await
            .map_err(|error| format!("the next update: {error}"))?;
        check_running(&after, other.digest())?;
        check_name(&mut conversation).await
    })
}

async fn open(machine: Machine) -> Result<Conversation<EmulatedLink>, String> {
    let mut link = EmulatedLink::new(machine);
    link.adopt();
    Conversation::open(link)
        .await
        .map_err(|(_, error)| format!("hello: {error}"))
}

async fn read(conversation: &mut Conversation<EmulatedLink>) -> Result<Device, String> {
    Device::read(conversation)
        .await
        .map_err(|error| format!("device info: {error}"))
}

async fn tell(
    conversation: &mut Conversation<EmulatedLink>,
    request: CommonRequest<'_>,
) -> Result<(), String> {
    let what = format!("{request:?}");
    conversation
        .tell(request)
        .await
        .map_err(|error| format!("{what}: {error}"))
}

async fn check_name(conversation: &mut Conversation<EmulatedLink>) -> Result<(), String> {
    let settings = settings::read(conversation)
        .await
        .map_err(|error| format!("settings: {error}"))?;
    let name = settings.iter().find(|setting| setting.name == "Name");
    match name.map(|setting| &setting.value) {
        Some(Value::Text(name)) if name == OLD_NAME || name == NEW_NAME => Ok(()),
        other => Err(format!("settings were lost: its name is {other:?}")),
    }
}

fn check_running(device: &Device, digest: Digest) -> Result<(), String> {
    match device.running {
        Some(image) if image.digest == digest && device.phase == Phase::Idle => Ok(()),
        other => Err(format!("after the next update it runs {other:?}")),
    }
}

/// All places of a cut: before, inside with `seeds` different outcomes, and after.
pub fn places(seeds: u64) -> impl Iterator<Item = Place> {
    [Place::Before, Place::After]
        .into_iter()
        .chain((0..seeds).map(|seed| Place::Inside { seed }))
}

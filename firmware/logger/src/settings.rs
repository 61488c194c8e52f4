//! The logger's settings: tables that describe them, and their values in EEPROM.
//!
//! A new setting is one entry in [`GENERAL`], or in [`CHANNEL`] for one that each channel has, and an accessor in
//! [`Configuration`] if the logger itself acts on it. Values of settings that this firmware does not know are kept, for
//! the one that does. Texts are read from EEPROM when they are needed; only numbers have a copy in RAM.

use datalog::recorder::Rules;
use protocol::message::{Refusal, StorageError};
use protocol::record::{CHANNELS, Channel, ChannelLayout, ChannelSet};
use protocol::settings::{Descriptor, Kind, Problem, Setting, SettingId, Settings, Value};
use update::engine::FREE_EEPROM;
use update::memory::{Eeprom, WriteFailed};
use update::twin::{Kept, Twin};

const NAME: u16 = 1;
const INTERVAL: u16 = 2;
// 3 was an offset of the temperature.
const AVERAGING: u16 = 4;
const RECORDING: u16 = 5;
const START: u16 = 6;
const START_TIME: u16 = 7;
const START_CHANNEL: u16 = 8;
const START_THRESHOLD: u16 = 9;
const START_WHEN: u16 = 10;
const WHEN_FULL: u16 = 11;
const SAVE_RECORDS: u16 = 12;
const SAVE_SECONDS: u16 = 13;
/// One more than the highest of these.
const GENERAL_IDS: usize = 14;

/// What each channel's settings are numbered from: its index times [`CHANNEL_STEP`] on top.
const FIRST_CHANNEL: u16 = 0x100;
const CHANNEL_STEP: u16 = 0x10;
const CHANNEL_ON: u16 = 0;
const CHANNEL_NAME: u16 = 1;
const CHANNEL_UNIT: u16 = 2;
const CHANNEL_GAIN: u16 = 3;
const CHANNEL_OFFSET: u16 = 4;
const CHANNEL_ALARM: u16 = 5;
const CHANNEL_THRESHOLD: u16 = 6;
/// One more than the highest of these.
const CHANNEL_IDS: usize = 7;

/// Names and units that channels begin with.
const CHANNEL_NAMES: [&str; CHANNELS] = ["Supply", "Temperature", "Input A", "Input B", "Events"];
const CHANNEL_UNITS: [&str; CHANNELS] = ["V", "°C", "V", "V", ""];

/// A threshold or offset, in thousandths of the channel's unit.
const THOUSANDTHS: Kind<'static> = Kind::Number {
    min: -LARGEST,
    max: LARGEST,
    default: 0,
    decimals: 3,
    unit: "",
};
/// Larger than any reading, and a number that people can be told.
const LARGEST: i32 = 2_000_000_000;

const fn entry(
    id: u16,
    group: &'static str,
    name: &'static str,
    help: &'static str,
    kind: Kind<'static>,
) -> Descriptor<'static> {
    Descriptor {
        id: SettingId(id),
        group,
        name,
        help,
        kind,
    }
}

/// Settings of the logger as a whole, in the order in which they are shown.
static GENERAL: &[Descriptor<'static>] = &[
    entry(
        NAME,
        "Logger",
        "Name",
        "What it is called.",
        Kind::Text {
            max_length: 24,
            default: "Logger",
        },
    ),
    entry(
        RECORDING,
        "Recording",
        "Record",
        "Whether records are taken.",
        Kind::Toggle { default: true },
    ),
    entry(
        INTERVAL,
        "Recording",
        "Interval",
        "Time between two records.",
        Kind::Number {
            min: 1,
            max: 864_000,
            default: 10,
            decimals: 1,
            unit: "s",
        },
    ),
    #[cfg(feature = "v1_1")]
    entry(
        AVERAGING,
        "Recording",
        "Averaging",
        "Conversions that make one value: more are quieter and take more power.",
        Kind::Choice {
            options: "1\n4\n16",
            default: 0,
        },
    ),
    entry(
        START,
        "Start",
        "Start",
        "When recording begins.",
        Kind::Choice {
            options: "at once\nat a set time\nat a threshold",
            default: 0,
        },
    ),
    entry(
        START_TIME,
        "Start",
        "Start time",
        "Needs a clock that is set.",
        Kind::Time,
    ),
    entry(
        START_CHANNEL,
        "Start",
        "Channel",
        "What the threshold is for.",
        Kind::Choice {
            options: "Supply\nTemperature\nInput A\nInput B\nEvents",
            default: 0,
        },
    ),
    entry(
        START_THRESHOLD,
        "Start",
        "Threshold",
        "In the channel's unit.",
        THOUSANDTHS,
    ),
    entry(
        START_WHEN,
        "Start",
        "When the value",
        "Also if it is there already.",
        Kind::Choice {
            options: "rises above\nfalls below",
            default: 0,
        },
    ),
    entry(
        WHEN_FULL,
        "Memory",
        "When full",
        "When there is no room for more records.",
        Kind::Choice {
            options: "overwrite the oldest\nstop",
            default: 0,
        },
    ),
    entry(
        SAVE_RECORDS,
        "Memory",
        "Save after",
        "Most records that loss of power costs. Few fill memory sooner.",
        Kind::Number {
            min: 1,
            max: 64,
            default: 64,
            decimals: 0,
            unit: "records",
        },
    ),
    entry(
        SAVE_SECONDS,
        "Memory",
        "Save at latest after",
        "Most time that loss of power costs.",
        Kind::Number {
            min: 1,
            max: 60,
            default: 60,
            decimals: 0,
            unit: "s",
        },
    ),
];

/// Settings that each channel has; numbers and groups are completed by [`descriptor`].
static CHANNEL: &[Descriptor<'static>] = &[
    entry(
        CHANNEL_ON,
        "",
        "Record",
        "Whether records have it.",
        Kind::Toggle { default: true },
    ),
    entry(
        CHANNEL_NAME,
        "",
        "Name",
        "What it is called.",
        Kind::Text {
            max_length: ChannelLayout::NAME as u8,
            default: "",
        },
    ),
    entry(
        CHANNEL_UNIT,
        "",
        "Unit",
        "Of its values, after gain and offset.",
        Kind::Text {
            max_length: ChannelLayout::UNIT as u8,
            default: "",
        },
    ),
    entry(
        CHANNEL_GAIN,
        "",
        "Gain",
        "What readings are multiplied by.",
        Kind::Number {
            min: -LARGEST,
            max: LARGEST,
            default: ChannelLayout::GAIN_ONE,
            decimals: 4,
            unit: "",
        },
    ),
    entry(
        CHANNEL_OFFSET,
        "",
        "Offset",
        "What is added then.",
        THOUSANDTHS,
    ),
    entry(
        CHANNEL_ALARM,
        "",
        "Alarm",
        "Marks values beyond the threshold.",
        Kind::Choice {
            options: "off\nabove\nbelow",
            default: 0,
        },
    ),
    entry(
        CHANNEL_THRESHOLD,
        "",
        "Alarm threshold",
        "In the channel's unit.",
        THOUSANDTHS,
    ),
];

/// One setting, by its place among all.
pub fn descriptor(index: usize) -> Option<Descriptor<'static>> {
    if let Some(descriptor) = GENERAL.get(index) {
        return Some(*descriptor);
    }
    let mut index = index - GENERAL.len();
    let mut id = FIRST_CHANNEL;
    for (name, unit) in CHANNEL_NAMES.into_iter().zip(CHANNEL_UNITS) {
        if let Some(template) = CHANNEL.get(index) {
            let mut descriptor = *template;
            descriptor.group = name;
            if let Kind::Text { default, .. } = &mut descriptor.kind {
                *default = if descriptor.id.0 == CHANNEL_NAME {
                    name
                } else {
                    unit
                };
            }
            descriptor.id.0 += id;
            return Some(descriptor);
        }
        index -= CHANNEL.len();
        id += CHANNEL_STEP;
    }
    None
}

fn find(id: SettingId) -> Option<Descriptor<'static>> {
    (0..)
        .map_while(descriptor)
        .find(|descriptor| descriptor.id == id)
}

/// Where the values are kept.
const PLACE: Twin = Twin {
    offset: FREE_EEPROM,
    copy_size: 512,
};
/// First byte of EEPROM behind the settings.
pub const SETTINGS_END: u32 = FREE_EEPROM + 2 * PLACE.copy_size;

/// The settings: what was set, in EEPROM, and what follows from it for the logger.
pub struct SettingsStore {
    kept: Kept,
    /// What the logger acts on.
    pub configuration: Configuration,
}

impl SettingsStore {
    /// Takes over the kept values; defaults stay where there are none.
    #[inline(never)]
    pub fn load(eeprom: &impl Eeprom) -> SettingsStore {
        let mut settings = SettingsStore {
            kept: PLACE.find(eeprom).unwrap_or_default(),
            configuration: Configuration {
                general: [0; GENERAL_IDS],
                channels: [[0; CHANNEL_IDS]; CHANNELS],
            },
        };
        for descriptor in (0..).map_while(descriptor) {
            settings
                .configuration
                .set(descriptor.id, &descriptor.kind.default_value());
        }
        let mut window = [0; Setting::LONGEST];
        let mut offset = 0;
        while let Some((id, length)) = settings.look(eeprom, offset, &mut window) {
            if let Some(descriptor) = find(id)
                && let Some(value) = accepted(&window, &descriptor)
            {
                settings.configuration.set(id, &value);
            }
            offset += length;
        }
        settings
    }

    /// The value of one setting. A text lies in `window`.
    #[inline(never)]
    pub fn value<'w>(
        &self,
        eeprom: &impl Eeprom,
        descriptor: &Descriptor<'static>,
        window: &'w mut [u8; Setting::LONGEST],
    ) -> Value<'w> {
        let mut offset = 0;
        let mut found = false;
        while !found && let Some((id, length)) = self.look(eeprom, offset, window) {
            found = id == descriptor.id;
            offset += length;
        }
        Some(window)
            .filter(|_| found)
            .and_then(|window| accepted(window, descriptor))
            .unwrap_or(descriptor.kind.default_value())
    }

    /// Fetches the setting at `offset` of what is kept to the beginning of `window`: its number and length.
    fn look(
        &self,
        eeprom: &impl Eeprom,
        offset: u32,
        window: &mut [u8; Setting::LONGEST],
    ) -> Option<(SettingId, u32)> {
        let left = self.kept.length.saturating_sub(offset);
        let there = &mut window[..Setting::LONGEST.min(left as usize)];
        self.kept.read(eeprom, offset, there);
        let (setting, rest) = Setting::take(there)?;
        Some((setting.id, (there.len() - rest.len()) as u32))
    }

    /// How a channel's records are to be read.
    pub fn layout(&self, eeprom: &impl Eeprom, channel: Channel) -> ChannelLayout {
        let mut layout = ChannelLayout {
            gain: self.configuration.channel(channel, CHANNEL_GAIN),
            offset: self.configuration.channel(channel, CHANNEL_OFFSET),
            ..ChannelLayout::default()
        };
        self.text(eeprom, channel, CHANNEL_NAME, &mut layout.name);
        self.text(eeprom, channel, CHANNEL_UNIT, &mut layout.unit);
        layout
    }

    #[inline(never)]
    fn text(&self, eeprom: &impl Eeprom, channel: Channel, id: u16, out: &mut [u8]) {
        let id = SettingId(FIRST_CHANNEL + channel as u16 * CHANNEL_STEP + id);
        if let Some(descriptor) = find(id)
            && let Value::Text(text) = self.value(eeprom, &descriptor, &mut [0; Setting::LONGEST])
        {
            for (out, byte) in out.iter_mut().zip(text.bytes()) {
                *out = byte;
            }
        }
    }

    /// Whether all values are such that their settings take them.
    #[inline(never)]
    pub fn check(&self, changes: &Settings<'_>) -> Result<(), Refusal> {
        let mut rest = changes.bytes();
        while let Some((change, after)) = Setting::take(rest) {
            find(change.id)
                .ok_or(Problem::Unknown)
                .and_then(|descriptor| descriptor.kind.check(&change.value))
                .map_err(|problem| Refusal::Setting {
                    id: change.id,
                    problem,
                })?;
            rest = after;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Refusal::UnknownRequest)
        }
    }

    /// What the logger is to act on with these values, which were checked.
    #[inline(never)]
    pub fn with(&self, changes: &Settings<'_>) -> Configuration {
        let mut configuration = self.configuration.clone();
        let mut rest = changes.bytes();
        while let Some((change, after)) = Setting::take(rest) {
            configuration.set(change.id, &change.value);
            rest = after;
        }
        configuration
    }

    /// Keeps values that were checked: all, or none when EEPROM does not take them or has no room for them. Of two
    /// values for one setting the last one counts. Until [`SettingsStore::take_over`] those before are in force.
    #[inline(never)]
    pub fn write(&self, eeprom: &mut impl Eeprom, changes: &Settings<'_>) -> Result<(), Refusal> {
        let merged = || Merged {
            kept: self,
            offset: 0,
            changes: changes.bytes(),
            rest: changes.bytes(),
            window: [0; Setting::LONGEST],
            at: 0,
            end: 0,
        };
        let mut length = 0;
        let mut bytes = merged();
        while bytes.next(eeprom).is_some() {
            length += 1;
            if length > PLACE.capacity() {
                // What was kept had room, and comes first.
                let setting = Setting::take(&bytes.window);
                return Err(Refusal::Setting {
                    id: setting.map_or(SettingId(0), |(setting, _)| setting.id),
                    problem: Problem::NoRoom,
                });
            }
        }
        let mut bytes = merged();
        PLACE
            .save_words(eeprom, length, |eeprom| {
                u32::from_le_bytes([(); 4].map(|()| bytes.next(eeprom).unwrap_or(0)))
            })
            .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))
    }

    /// Puts in force what was kept with [`SettingsStore::write`]; `configuration` is what [`SettingsStore::with`] made of
    /// the same values.
    pub fn take_over(&mut self, eeprom: &impl Eeprom, configuration: Configuration) {
        self.kept = PLACE.find(eeprom).unwrap_or_default();
        self.configuration = configuration;
    }
}

/// What will be kept, byte by byte: kept values that do not change, then the changes.
struct Merged<'a> {
    kept: &'a SettingsStore,
    offset: u32,
    changes: &'a [u8],
    /// Changes that are still to come.
    rest: &'a [u8],
    /// The setting whose bytes are being given.
    window: [u8; Setting::LONGEST],
    at: usize,
    end: usize,
}

impl Merged<'_> {
    #[inline(never)]
    fn next(&mut self, eeprom: &impl Eeprom) -> Option<u8> {
        while self.at == self.end {
            self.at = 0;
            self.end = 0;
            if let Some((id, length)) = self.kept.look(eeprom, self.offset, &mut self.window) {
                self.offset += length;
                if !contains(self.changes, id) {
                    self.end = length as usize;
                }
            } else {
                let (change, rest) = Setting::take(self.rest)?;
                let length = self.rest.len() - rest.len();
                if !contains(rest, change.id) {
                    self.window
                        .get_mut(..length)?
                        .copy_from_slice(&self.rest[..length]);
                    self.end = length;
                }
                self.rest = rest;
            }
        }
        let byte = self.window.get(self.at);
        self.at += 1;
        byte.copied()
    }
}

/// The value at the beginning of `window`, if the setting takes it: what another firmware allowed may not be allowed
/// here.
fn accepted<'w>(window: &'w [u8], descriptor: &Descriptor) -> Option<Value<'w>> {
    Setting::take(window)
        .map(|(setting, _)| setting.value)
        .filter(|value| descriptor.kind.check(value).is_ok())
}

fn contains(mut settings: &[u8], id: SettingId) -> bool {
    while let Some((setting, rest)) = Setting::take(settings) {
        if setting.id == id {
            return true;
        }
        settings = rest;
    }
    false
}

/// When recording begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At once.
    Now,
    /// At this time: UTC in seconds since 1970.
    At(u32),
    /// When a value is beyond its threshold.
    Threshold,
}

/// The numbers among the values, by their settings' numbers: choices by their index, toggles as 0 and 1.
#[derive(Clone, PartialEq, Eq)]
pub struct Configuration {
    general: [i32; GENERAL_IDS],
    channels: [[i32; CHANNEL_IDS]; CHANNELS],
}

impl Configuration {
    fn set(&mut self, SettingId(id): SettingId, value: &Value) {
        let number = match *value {
            Value::Toggle(on) => on.into(),
            Value::Number(number) => number,
            Value::Choice(index) => index.into(),
            Value::Time(seconds) => seconds as i32,
            Value::Text(_) => return,
        };
        let place = match id.checked_sub(FIRST_CHANNEL) {
            None => self.general.get_mut(usize::from(id)),
            Some(id) => self
                .channels
                .get_mut(usize::from(id / CHANNEL_STEP))
                .and_then(|channel| channel.get_mut(usize::from(id % CHANNEL_STEP))),
        };
        if let Some(place) = place {
            *place = number;
        }
    }

    fn general(&self, id: u16) -> i32 {
        self.general[usize::from(id)]
    }

    fn channel(&self, channel: Channel, id: u16) -> i32 {
        self.channels[channel as usize][usize::from(id)]
    }

    /// Time between two records, in milliseconds.
    pub fn interval(&self) -> u32 {
        self.general(INTERVAL) as u32 * 100
    }

    /// Conversions that make one value.
    pub fn conversions(&self) -> u32 {
        // 0, which stands for 1, in a version without the setting.
        1 << (2 * self.general(AVERAGING))
    }

    /// Whether records are to be taken, and have something in them.
    pub fn recording(&self) -> bool {
        self.general(RECORDING) != 0 && self.channels() != ChannelSet::default()
    }

    /// When recording begins.
    pub fn start(&self) -> Start {
        match self.general(START) {
            1 => Start::At(self.general(START_TIME) as u32),
            2 => Start::Threshold,
            _ => Start::Now,
        }
    }

    /// Whether recording begins in the same way and under the same conditions.
    pub fn starts_like(&self, other: &Configuration) -> bool {
        let relevant = usize::from(RECORDING)..=usize::from(START_WHEN);
        self.general[relevant.clone()] == other.general[relevant]
    }

    /// Whether the threshold of [`Start::Threshold`] is crossed.
    pub fn start_threshold_crossed(&self, values: &[i32; CHANNELS]) -> bool {
        let (below, threshold) = (self.general(START_WHEN) != 0, self.general(START_THRESHOLD));
        self.start_channel()
            .is_some_and(|channel| self.beyond(channel, values, below, threshold))
    }

    /// When records are written, and what happens when memory is full.
    pub fn rules(&self) -> Rules {
        Rules {
            records: self.general(SAVE_RECORDS) as u8,
            seconds: self.general(SAVE_SECONDS) as u8,
            keep_oldest: self.general(WHEN_FULL) != 0,
        }
    }

    /// What is in a record.
    pub fn channels(&self) -> ChannelSet {
        let mut set = ChannelSet::default();
        for channel in Channel::ALL {
            if self.channel(channel, CHANNEL_ON) != 0 {
                set.insert(channel);
            }
        }
        set
    }

    /// What is measured: also what the start waits for.
    pub fn sampled(&self) -> ChannelSet {
        let mut set = self.channels();
        if self.start() == Start::Threshold
            && let Some(channel) = self.start_channel()
        {
            set.insert(channel);
        }
        set
    }

    fn start_channel(&self) -> Option<Channel> {
        Channel::ALL
            .get(self.general(START_CHANNEL) as usize)
            .copied()
    }

    /// Channels in a record whose value is beyond their alarm threshold.
    pub fn alarms(&self, values: &[i32; CHANNELS]) -> ChannelSet {
        let mut set = ChannelSet::default();
        for channel in Channel::ALL {
            let alarm = self.channel(channel, CHANNEL_ALARM);
            let threshold = self.channel(channel, CHANNEL_THRESHOLD);
            if self.channels().has(channel)
                && alarm != 0
                && self.beyond(channel, values, alarm == 2, threshold)
            {
                set.insert(channel);
            }
        }
        set
    }

    fn beyond(
        &self,
        channel: Channel,
        values: &[i32; CHANNELS],
        below: bool,
        threshold: i32,
    ) -> bool {
        // Below is above with all signs changed.
        let sign = if below { -1 } else { 1 };
        ChannelLayout::is_above(
            sign * self.channel(channel, CHANNEL_GAIN),
            sign * self.channel(channel, CHANNEL_OFFSET),
            channel,
            values[channel as usize].into(),
            sign * threshold,
        )
    }
}

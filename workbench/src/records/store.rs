//! The copy of a logger's log that the helper keeps (`helper/src/log.rs`): what this program asks of it.
//!
//! Places are milliseconds on the log's own axis (`helper/src/log/axis.rs`): UTC where that was known. It never says more
//! of records than the helper did.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;

use js_sys::{Array, Float32Array, Float64Array, Uint8Array, Uint32Array};
use protocol::record::ChannelSet;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Asks the page's helper (`assets/page.js`); what it may be asked stands in `assets/helper-worker.js`.
    #[wasm_bindgen(js_namespace = logdock, catch)]
    async fn ask(question: &Array) -> Result<JsValue, JsValue>;
}

/// Why the helper did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It could not be loaded, or failed.
    NoHelp,
    /// There is no room for more.
    Full,
    /// The browser refused a file.
    Refused,
}

/// A channel under one name and unit: a line of the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// Which channel, by its bit.
    pub(crate) channel: u8,
    /// What its owner called it.
    pub(crate) name: String,
    /// Its unit; may be empty.
    pub(crate) unit: String,
}

/// What a copy has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Info {
    /// Number of the first segment that was taken, and of the next one.
    pub(crate) first: u32,
    /// See [`Info::first`].
    pub(crate) next: u32,
    /// Records in them.
    pub(crate) records: f64,
    /// Bytes of the file.
    pub(crate) bytes: f64,
    /// Where the records begin; not a number without records.
    pub(crate) start: f64,
    /// Where they end.
    pub(crate) end: f64,
    /// Segments between them that are not there.
    pub(crate) missing_segments: f64,
    /// Records between them that are not there.
    pub(crate) missing_records: f64,
    /// Whether a part of the file had to be thrown away.
    pub(crate) damaged: bool,
    /// The lines of the chart.
    pub(crate) series: Vec<Series>,
}

/// A part of the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// Where it begins.
    pub(crate) start: f64,
    /// Where it ends.
    pub(crate) end: f64,
    /// What has to be added to get UTC; none where that was not known.
    pub(crate) shift: Option<f64>,
    /// The logger's own clock where it begins: milliseconds since power came up.
    pub(crate) clock: f64,
}

/// A part of the log, as it is drawn: arrays of one length, but for those of marks and of the axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Picture {
    /// Where each point is.
    pub(crate) places: Vec<f64>,
    /// 1 where no line leads to the point from the one before.
    pub(crate) breaks: Vec<u8>,
    /// Channels beyond their threshold.
    pub(crate) alarms: Vec<u8>,
    /// For each series: its least values, NaN where there is none.
    pub(crate) least: Vec<Vec<f32>>,
    /// For each series: its most.
    pub(crate) most: Vec<Vec<f32>>,
    /// Where something happened, and what, as bits of [`Happened`].
    pub(crate) marks: Vec<(f64, u8)>,
    /// The axis.
    pub(crate) axis: Vec<Stretch>,
    /// Whether each record was looked at.
    pub(crate) exact: bool,
}

/// What happened in front of a record, as bits.
pub(crate) struct Happened;

impl Happened {
    /// The logger was started.
    pub(crate) const START: u8 = 1;
    /// Segments or records are missing.
    pub(crate) const MISSING: u8 = 2;
    /// No records were taken for a while.
    pub(crate) const PAUSE: u8 = 4;
    /// Settings were changed or the clock was set.
    pub(crate) const CHANGE: u8 = 8;
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Where it is.
    pub(crate) place: f64,
    /// Its number.
    pub(crate) number: u32,
    /// Milliseconds since 1970; none when it was not known.
    pub(crate) utc: Option<f64>,
    /// Milliseconds since power came up.
    pub(crate) clock: f64,
    /// Channels beyond their threshold in this segment.
    pub(crate) alarms: ChannelSet,
    /// Bits of [`Happened`].
    pub(crate) before: u8,
    /// Its values with all their decimals, with their series.
    pub(crate) values: Vec<(usize, String)>,
}

/// What a part of the log amounts to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Sums {
    /// How many records.
    pub(crate) records: f64,
    /// Least, mean and most of each series; none without values.
    pub(crate) series: Vec<Option<[f64; 3]>>,
}

/// A table in the making.
pub(crate) enum Table {
    /// How much of it is done, from 0 to 1.
    Part(f64),
    /// A file, and how many records are in it.
    Whole(JsValue, f64),
}

/// What an answer should be; none of what it is not.
fn bytes(answer: JsValue) -> Vec<u8> {
    let answer = answer.dyn_into::<Uint8Array>();
    answer.map_or_else(|_| Vec::new(), |answer| answer.to_vec())
}

/// See [`bytes`].
fn numbers(answer: JsValue) -> Vec<f64> {
    let answer = answer.dyn_into::<Float64Array>();
    answer.map_or_else(|_| Vec::new(), |answer| answer.to_vec())
}

/// The copy of one logger's log.
#[derive(Clone)]
pub(crate) struct Store(Rc<str>);

impl Store {
    /// Opens it; and whether the browser keeps it for later visits.
    pub(crate) async fn open(serial: &str) -> Result<(Store, bool), Trouble> {
        let store = Store(serial.into());
        let kept = store.question(&["open"], &[]).await?;
        Ok((store, kept.is_truthy()))
    }

    /// Whether it is that very one.
    pub(crate) fn is(&self, other: Option<&Store>) -> bool {
        other.is_some_and(|other| Rc::ptr_eq(&self.0, &other.0))
    }

    async fn question(&self, names: &[&str], values: &[JsValue]) -> Result<JsValue, Trouble> {
        let question = Array::new();
        let (topic, rest) = names.split_first().ok_or(Trouble::NoHelp)?;
        question.push(&(*topic).into());
        question.push(&(&*self.0).into());
        for name in rest {
            question.push(&(*name).into());
        }
        for value in values {
            question.push(value);
        }
        let answer = ask(&question).await.map_err(|_| Trouble::NoHelp)?;
        match answer.as_string().as_deref() {
            Some("full") => Err(Trouble::Full),
            Some(_) => Err(Trouble::Refused),
            None => Ok(answer),
        }
    }

    async fn log(&self, name: &str, values: &[JsValue]) -> Result<JsValue, Trouble> {
        self.question(&["log", name], values).await
    }

    async fn list(&self, name: &str, values: &[JsValue]) -> Result<Array, Trouble> {
        let answer = self.log(name, values).await?;
        answer.dyn_into().map_err(|_| Trouble::NoHelp)
    }

    /// Looks at a piece of what is there: how much was looked at, from 0 to 1.
    pub(crate) async fn load(&self) -> Result<f64, Trouble> {
        self.log("load", &[]).await?.as_f64().ok_or(Trouble::NoHelp)
    }

    /// What it has.
    pub(crate) async fn info(&self) -> Result<Info, Trouble> {
        let list = self.list("info", &[]).await?;
        let number = |index| list.get(index).as_f64().unwrap_or_default();
        let text = |index| list.get(index).as_string().unwrap_or_default();
        Ok(Info {
            first: number(0) as u32,
            next: number(1) as u32,
            records: number(2),
            bytes: number(3),
            start: number(4),
            end: number(5),
            missing_segments: number(6),
            missing_records: number(7),
            damaged: list.get(8).is_truthy(),
            series: (9..list.length())
                .step_by(3)
                .map(|index| Series {
                    channel: number(index) as u8,
                    name: text(index + 1),
                    unit: text(index + 2),
                })
                .collect(),
        })
    }

    /// Puts in what came from the logger: whole segments one behind the other, the numbers of those that are lost, where
    /// the log begins, and up to which number that is all there is.
    pub(crate) async fn take(
        &self,
        segments: &[u8],
        lost: &[u32],
        first: u32,
        next: u32,
    ) -> Result<(), Trouble> {
        let values = [
            Uint8Array::from(segments).into(),
            Uint32Array::from(lost).into(),
            first.into(),
            next.into(),
        ];
        self.log("take", &values).await.map(drop)
    }

    /// Puts in the segment that the logger is still filling.
    pub(crate) async fn take_open(&self, segment: &[u8]) -> Result<(), Trouble> {
        let values = [Uint8Array::from(segment).into()];
        self.log("take_open", &values).await.map(drop)
    }

    /// Number and bytes of the last complete segment.
    pub(crate) async fn last(&self) -> Result<Option<(u32, Vec<u8>)>, Trouble> {
        let list = self.list("last", &[]).await?;
        Ok(list
            .get(0)
            .as_f64()
            .map(|number| (number as u32, bytes(list.get(1)))))
    }

    /// Forgets everything.
    pub(crate) async fn clear(&self) -> Result<(), Trouble> {
        self.log("clear", &[]).await.map(drop)
    }

    /// A part of it in so many columns.
    pub(crate) async fn picture(&self, from: f64, to: f64, width: u32) -> Result<Picture, Trouble> {
        let list = self
            .list("picture", &[from.into(), to.into(), width.into()])
            .await?;
        let bytes = |index| bytes(list.get(index));
        let numbers = |index| numbers(list.get(index));
        let values = |index| {
            let values = list.get(index).dyn_into::<Float32Array>();
            values.map_or_else(|_| Vec::new(), |values| values.to_vec())
        };
        Ok(Picture {
            places: numbers(0),
            breaks: bytes(1),
            alarms: bytes(2),
            marks: numbers(3).into_iter().zip(bytes(4)).collect(),
            axis: numbers(5)
                .as_chunks()
                .0
                .iter()
                .map(|&[start, end, shift, clock, _]| Stretch {
                    start,
                    end,
                    shift: Some(shift).filter(|shift| !shift.is_nan()),
                    clock,
                })
                .collect(),
            exact: list.get(6).is_truthy(),
            least: (7..list.length()).step_by(2).map(values).collect(),
            most: (8..list.length()).step_by(2).map(values).collect(),
        })
    }

    /// The record that is nearest to a place.
    pub(crate) async fn record_at(&self, place: f64) -> Result<Option<Record>, Trouble> {
        let list = self.list("record_at", &[place.into()]).await?;
        let number = |index| list.get(index).as_f64().unwrap_or_default();
        Ok((list.length() > 0).then(|| Record {
            place: number(0),
            number: number(1) as u32,
            utc: Some(number(2)).filter(|utc| !utc.is_nan()),
            clock: number(4),
            alarms: ChannelSet(number(5) as u8),
            before: number(6) as u8,
            values: (7..list.length())
                .step_by(2)
                .map(|index| {
                    let value = list.get(index + 1).as_string();
                    (number(index) as usize, value.unwrap_or_default())
                })
                .collect(),
        }))
    }

    /// What a part of it amounts to.
    pub(crate) async fn sums(&self, from: f64, to: f64) -> Result<Sums, Trouble> {
        let answer = self.log("sums", &[from.into(), to.into()]).await?;
        let values = numbers(answer);
        let (records, series) = values.split_first().ok_or(Trouble::NoHelp)?;
        Ok(Sums {
            records: *records,
            series: series
                .as_chunks()
                .0
                .iter()
                .map(|&[count, least, most, mean]| (count > 0.0).then_some([least, mean, most]))
                .collect(),
        })
    }

    /// Begins a table of a part of it.
    pub(crate) async fn table(&self, from: f64, to: f64) -> Result<(), Trouble> {
        self.question(&["table"], &[from.into(), to.into()])
            .await
            .map(drop)
    }

    /// Goes on with the table.
    pub(crate) async fn table_step(&self) -> Result<Table, Trouble> {
        let answer = self.question(&["tableStep"], &[]).await?;
        if let Some(done) = answer.as_f64() {
            return Ok(Table::Part(done));
        }
        let list: Array = answer.dyn_into().map_err(|_| Trouble::NoHelp)?;
        Ok(Table::Whole(
            list.get(0),
            list.get(1).as_f64().unwrap_or_default(),
        ))
    }
}

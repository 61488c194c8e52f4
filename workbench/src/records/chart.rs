//! The chart of a log: what of it is looked at, and how that is changed with mouse, fingers and keys.
//!
//! The helper hands out pictures of parts of the log, three times as wide as what is looked at, so that moving about shows
//! what is there at once; each is drawn from its arrays alone ([`draw`]). It shows nothing that is in no picture.

mod draw;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Deref;
use core::time::Duration;

use host::data::Column;
use host::settings::{Alarm, number_text};
use protocol::record::Channel;
use ui::dom::{View, all, button, choose, el, kept, listen, live, nothing, place, window};
use ui::signal::{Changes, Signal};
use ui::task::spawn;
use ui::text::say;
use ui::time::timer;
use ui::words::{count, decimal, with_mark};
use wasm_bindgen::prelude::*;
use web_sys::{Event, HtmlCanvasElement, KeyboardEvent, PointerEvent, WheelEvent};

use super::store::{Happened, Info, Picture, Record, Series, Store, Sums};
use super::ticks;
use crate::settings::Settings;
use draw::{Layout, Theme};

/// The closest look, in milliseconds.
const CLOSEST: f64 = 200.0;
/// What a key, or a button, comes closer by.
const ZOOM: f64 = 1.5;
/// The share of the view that an arrow key moves by.
const STRIDE: f64 = 0.1;
/// A finger or mouse that moved by less was only pressed, in pixels.
const STILL: f64 = 4.0;
/// What is looked at for so long is summed up.
const SETTLED: Duration = Duration::from_millis(200);

/// A part of the axis: where it begins and ends.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Part {
    /// Its beginning.
    pub(crate) from: f64,
    /// Its end.
    pub(crate) to: f64,
}

impl Part {
    fn length(self) -> f64 {
        self.to - self.from
    }

    fn of(a: f64, b: f64) -> Part {
        Part {
            from: a.min(b),
            to: a.max(b),
        }
    }
}

/// What the pointer that is held down does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Drag {
    /// It moves the view.
    Move,
    /// It selects, from this place on.
    Select(f64),
}

/// The chart of one log.
#[derive(Clone, Copy)]
pub(crate) struct Chart(&'static State);

impl Deref for Chart {
    type Target = State;

    fn deref(&self) -> &State {
        self.0
    }
}

/// What is looked at.
pub(crate) struct State {
    canvas: HtmlCanvasElement,
    /// What the logger marks now.
    settings: Settings,
    store: RefCell<Option<Store>>,
    info: RefCell<Info>,
    view: Cell<Part>,
    /// The latest picture, and of which part it is.
    picture: RefCell<(Part, Picture)>,
    /// A picture is being made.
    asked: Cell<bool>,
    /// The picture is not of what is there any more.
    stale: Cell<bool>,
    /// A drawing is due.
    due: Cell<bool>,
    draw: RefCell<Option<Closure<dyn Fn()>>>,
    theme: RefCell<Option<Theme>>,
    pointers: RefCell<Vec<(i32, f64)>>,
    drag: Cell<Option<Drag>>,
    /// How far the pointer has moved since it was pressed.
    moved: Cell<f64>,
    cursor: Cell<Option<f64>>,
    /// The record at the cursor is being looked for.
    seeking: Cell<bool>,
    /// Counts what the view, the selection or the data became.
    turn: Cell<u32>,
    record: Signal<Option<Record>>,
    /// What a screen reader says of it.
    spoken: Signal<String>,
    /// What was selected.
    pub(crate) selection: Signal<Option<Part>>,
    hidden: Signal<Vec<usize>>,
    series: Signal<Vec<Series>>,
    sums: Signal<Sums>,
}

impl Chart {
    /// Of nothing yet.
    pub(crate) fn new(settings: Settings, changes: &Changes) -> Chart {
        let canvas: HtmlCanvasElement = place("canvas").unchecked_into();
        let chart = Chart(Box::leak(Box::new(State {
            canvas,
            settings,
            store: RefCell::new(None),
            info: RefCell::default(),
            view: Cell::default(),
            picture: RefCell::default(),
            asked: Cell::new(false),
            stale: Cell::new(false),
            due: Cell::new(false),
            draw: RefCell::new(None),
            theme: RefCell::new(None),
            pointers: RefCell::default(),
            drag: Cell::new(None),
            moved: Cell::new(0.0),
            cursor: Cell::new(None),
            seeking: Cell::new(false),
            turn: Cell::new(0),
            record: Signal::new(changes, None),
            spoken: Signal::new(changes, String::new()),
            selection: Signal::new(changes, None),
            hidden: Signal::new(changes, Vec::new()),
            series: Signal::new(changes, Vec::new()),
            sums: Signal::new(changes, Sums::default()),
        })));
        chart
            .draw
            .replace(Some(Closure::new(move || chart.paint())));
        chart.listen();
        chart
    }

    /// It is of another log from now on, or of none.
    pub(crate) fn open(self, store: Option<Store>) {
        self.store.replace(store);
        self.info.replace(Info::default());
        self.picture.replace(Default::default());
        self.view.set(Part::default());
        self.cursor.set(None);
        self.record.set(None);
        self.selection.set(None);
        self.hidden.set(Vec::new());
        self.series.set(Vec::new());
        self.sums.set(Sums::default());
        self.redraw();
    }

    /// There is more in the log, or other things: who looks at all of it goes on doing so, and who looks at its end too.
    pub(crate) fn data_changed(self, info: &Info) {
        let before = self.info.replace(info.clone());
        if info.start.is_nan() {
            return;
        }
        let view = self.view.get();
        let was = self.room(&before);
        if before.series.is_empty() || before.start.is_nan() || view == was {
            self.view.set(self.room(info));
        } else if before.start != info.start {
            // Records of unknown time found their place.
            self.view.set(self.room(info));
            self.selection.set(None);
        } else if view.to >= before.end {
            let by = (self.room(info).to - was.to).max(0.0);
            self.view.set(Part {
                from: view.from + by,
                to: view.to + by,
            });
        }
        if self.series.with(|series| *series != info.series) {
            self.series.set(info.series.clone());
        }
        self.stale.set(true);
        self.redraw();
    }

    /// All of a log, with a little air.
    fn room(self, info: &Info) -> Part {
        let air = (info.end - info.start).max(10.0 * CLOSEST) * 0.01;
        Part {
            from: info.start - air,
            to: info.end + air,
        }
    }

    /// It may have another size, or be seen again.
    pub(crate) fn redraw(self) {
        if self.due.replace(true) {
            return;
        }
        if let Some(draw) = &*self.draw.borrow() {
            let _ = window().request_animation_frame(draw.as_ref().unchecked_ref());
        }
    }

    fn layout(self) -> Layout {
        let series = self.with_alarms(&self.info.borrow().series);
        let hidden = self.hidden.get();
        Layout::new(self.canvas.client_width().into(), &series, &hidden)
    }

    /// Lines, each with what the logger marks of it now. Under another name or in another unit they were other values.
    fn with_alarms(self, series: &[Series]) -> Vec<(Series, Option<Alarm>)> {
        let settings = self.settings.all().unwrap_or_default();
        let alarm = |series: &Series| {
            let channel = *Channel::ALL.get(usize::from(series.channel))?;
            let now = Column::of_settings(channel, &settings);
            let is_same = (now.name, now.unit) == (series.name.clone(), series.unit.clone());
            Alarm::of_settings(channel, &settings).filter(|_| is_same)
        };
        series
            .iter()
            .map(|series| (series.clone(), alarm(series)))
            .collect()
    }

    fn paint(self) {
        self.due.set(false);
        let layout = self.layout();
        if layout.width <= 0.0 || self.info.borrow().series.is_empty() {
            return;
        }
        self.want_picture(&layout);
        let theme = self
            .theme
            .borrow_mut()
            .get_or_insert_with(Theme::read)
            .clone();
        let (_, picture) = &*self.picture.borrow();
        draw::draw(
            &self.canvas,
            &layout,
            &theme,
            picture,
            self.view.get(),
            self.selection.get(),
            self.record
                .with(|record| record.as_ref().map(|record| record.place)),
        );
    }

    /// Asks for another picture when this one is not of what is looked at.
    fn want_picture(self, layout: &Layout) {
        let view = self.view.get();
        let of = self.picture.borrow().0;
        let ratio = of.length() / view.length();
        let fits = of.from <= view.from && of.to >= view.to && (2.0..=4.5).contains(&ratio);
        if (fits && !self.stale.get()) || self.asked.get() {
            return;
        }
        let Some(store) = self.store.borrow().clone() else {
            return;
        };
        self.asked.set(true);
        self.stale.set(false);
        let part = Part {
            from: view.from - view.length(),
            to: view.to + view.length(),
        };
        let width = 3 * layout.plot_width() as u32;
        spawn(async move {
            let picture = store.picture(part.from, part.to, width).await;
            self.asked.set(false);
            // Without the helper, what was drawn stays.
            if let Ok(picture) = picture
                && store.is(self.store.borrow().as_ref())
            {
                self.picture.replace((part, picture));
                self.sum_up();
                self.redraw();
            }
        });
    }

    /// Sums up what is selected, or looked at, once that has not changed for a while.
    fn sum_up(self) {
        let turn = self.turn.get().wrapping_add(1);
        self.turn.set(turn);
        spawn(async move {
            timer(SETTLED).await;
            let Some(store) = self.store.borrow().clone() else {
                return;
            };
            if self.turn.get() != turn {
                return;
            }
            let part = self.selection.get().unwrap_or(self.view.get());
            if let Ok(sums) = store.sums(part.from, part.to).await
                && self.sums.with(|before| *before != sums)
            {
                self.sums.set(sums);
            }
        });
    }

    fn look_at(self, from: f64, to: f64) {
        let room = self.room(&self.info.borrow());
        let length = (to - from).clamp(CLOSEST, room.length());
        let from = (from + to - length) / 2.0;
        let from = from.clamp(room.from, (room.to - length).max(room.from));
        self.view.set(Part {
            from,
            to: from + length,
        });
        self.sum_up();
        self.redraw();
    }

    /// Comes closer by this factor; `at` stays where it is.
    fn zoom(self, factor: f64, at: f64) {
        let view = self.view.get();
        self.look_at(at - (at - view.from) / factor, at + (view.to - at) / factor);
    }

    fn middle(self) -> f64 {
        let view = self.view.get();
        self.cursor
            .get()
            .filter(|at| (view.from..=view.to).contains(at))
            .unwrap_or((view.from + view.to) / 2.0)
    }

    fn shift(self, by: f64) {
        let view = self.view.get();
        self.look_at(view.from + by, view.to + by);
    }

    /// Which place a pixel is.
    fn place(self, x: f64) -> f64 {
        let layout = self.layout();
        let view = self.view.get();
        let share = (x - layout.left) / layout.plot_width().max(1.0);
        view.from + share.clamp(0.0, 1.0) * view.length()
    }

    /// Looks for the record at a place.
    fn point_at(self, at: f64, spoken: bool) {
        self.cursor.set(Some(at));
        let Some(store) = self.store.borrow().clone() else {
            return;
        };
        if self.seeking.replace(true) {
            return;
        }
        spawn(async move {
            loop {
                let at = self.cursor.get();
                let record = match at {
                    Some(at) => store.record_at(at).await.ok().flatten(),
                    None => None,
                };
                if self.cursor.get() != at {
                    continue;
                }
                self.seeking.set(false);
                if spoken && let Some(record) = &record {
                    let words = self.words(record);
                    self.spoken.set(words);
                }
                self.record.set(record);
                self.redraw();
                return;
            }
        });
    }

    fn leave(self) {
        self.cursor.set(None);
        self.record.set(None);
        self.redraw();
    }

    /// The cursor goes to the next point of the picture, and the view along with it.
    fn step(self, forward: bool, select: bool) {
        let at = self.middle();
        let next = {
            let (_, picture) = &*self.picture.borrow();
            let places = &picture.places;
            let held = self
                .record
                .with(|record| record.as_ref().map(|record| record.place));
            let at = held.unwrap_or(at);
            let index = if forward {
                let index = places.partition_point(|place| *place <= at);
                index.min(places.len().saturating_sub(1))
            } else {
                places
                    .partition_point(|place| *place < at)
                    .saturating_sub(1)
            };
            places.get(index).copied()
        };
        let Some(next) = next else { return };
        if select {
            let anchor = match self.drag.get() {
                Some(Drag::Select(anchor)) => anchor,
                _ => at,
            };
            self.drag.set(Some(Drag::Select(anchor)));
            self.select(Some(Part::of(anchor, next)));
        }
        let view = self.view.get();
        if next < view.from {
            self.shift(next - view.from - STRIDE * view.length());
        } else if next > view.to {
            self.shift(next - view.to + STRIDE * view.length());
        }
        self.point_at(next, true);
    }

    /// Selects a part, or nothing.
    pub(crate) fn select(self, part: Option<Part>) {
        self.selection.set(part);
        self.sum_up();
        self.redraw();
    }

    fn listen(self) {
        let canvas = &self.canvas;
        let on = |name, act: fn(Chart, Event)| listen(canvas, name, move |event| act(self, event));
        on("wheel", |chart, event| chart.wheel(event.unchecked_ref()));
        on("pointerdown", |chart, event| {
            chart.press(event.unchecked_ref());
        });
        on("pointermove", |chart, event| {
            chart.drag(event.unchecked_ref());
        });
        for end in ["pointerup", "pointercancel"] {
            on(end, |chart, event| chart.release(event.unchecked_ref()));
        }
        on("pointerleave", |chart, _| {
            if chart.pointers.borrow().is_empty() {
                chart.leave();
            }
        });
        on("keydown", |chart, event| chart.key(event.unchecked_ref()));
        listen(&window(), "resize", move |_| self.redraw());
        if let Ok(Some(dark)) = window().match_media("(prefers-color-scheme: dark)") {
            listen(&dark, "change", move |_| {
                self.theme.replace(None);
                self.redraw();
            });
        }
    }

    /// The wheel is the page's, until somebody has to do with the chart; two fingers on a touchpad come as a wheel with
    /// the control key.
    fn wheel(self, event: &WheelEvent) {
        let active = window()
            .document()
            .and_then(|document| document.active_element());
        let is_active = active.is_some_and(|active| active.is_same_node(Some(&self.canvas)));
        if !is_active && !event.ctrl_key() {
            return;
        }
        event.prevent_default();
        // Lines and pages as pixels.
        let scale = [1.0, 16.0, 400.0][event.delta_mode().min(2) as usize];
        let (x, y) = (event.delta_x() * scale, event.delta_y() * scale);
        if x.abs() > y.abs() || event.shift_key() {
            let by = if x == 0.0 { y } else { x };
            self.shift(by * self.view.get().length() / self.layout().plot_width().max(1.0));
        } else {
            let factor = (1.0 - y.clamp(-200.0, 200.0) / 500.0).max(0.1);
            self.zoom(factor, self.place(event.offset_x()));
        }
    }

    fn press(self, event: &PointerEvent) {
        let x = event.offset_x();
        if event.button() != 0 {
            return;
        }
        let _ = self.canvas.set_pointer_capture(event.pointer_id());
        self.pointers.borrow_mut().push((event.pointer_id(), x));
        self.moved.set(0.0);
        self.drag.set(Some(if event.shift_key() {
            Drag::Select(self.place(x))
        } else {
            Drag::Move
        }));
    }

    fn drag(self, event: &PointerEvent) {
        let x = event.offset_x();
        let before: Vec<f64> = {
            let mut pointers = self.pointers.borrow_mut();
            let before = pointers.iter().map(|(_, x)| *x).collect();
            for (id, place) in pointers.iter_mut() {
                if *id == event.pointer_id() {
                    self.moved.set(self.moved.get() + (x - *place).abs());
                    *place = x;
                }
            }
            before
        };
        let now: Vec<f64> = self.pointers.borrow().iter().map(|(_, x)| *x).collect();
        match (&before[..], &now[..]) {
            ([], _) => self.point_at(self.place(x), false),
            ([from], [to]) => match self.drag.get() {
                Some(Drag::Select(anchor)) => {
                    self.select(Some(Part::of(anchor, self.place(x))));
                }
                _ => {
                    let scale = self.view.get().length() / self.layout().plot_width().max(1.0);
                    self.shift((from - to) * scale);
                }
            },
            ([a, b], [c, d]) => {
                // What the fingers hold stays under them.
                let middle = self.place((c + d) / 2.0);
                let factor = ((c - d).abs().max(10.0)) / ((a - b).abs().max(10.0));
                self.zoom(factor, middle);
                let scale = self.view.get().length() / self.layout().plot_width().max(1.0);
                self.shift(((a + b) - (c + d)) / 2.0 * scale);
            }
            _ => {}
        }
    }

    fn release(self, event: &PointerEvent) {
        self.pointers
            .borrow_mut()
            .retain(|(id, _)| *id != event.pointer_id());
        if self.moved.get() < STILL && event.type_() == "pointerup" {
            self.point_at(self.place(event.offset_x()), false);
        }
        if self.pointers.borrow().is_empty() {
            self.drag.set(None);
        }
    }

    fn key(self, event: &KeyboardEvent) {
        if event.ctrl_key() || event.alt_key() || event.meta_key() {
            return;
        }
        let view = self.view.get();
        if !event.shift_key() {
            self.drag.set(None);
        }
        match event.key().as_str() {
            "ArrowLeft" => self.step(false, event.shift_key()),
            "ArrowRight" => self.step(true, event.shift_key()),
            "PageUp" => self.shift(-view.length()),
            "PageDown" => self.shift(view.length()),
            "Home" => {
                let start = self.info.borrow().start;
                self.look_at(start, start + view.length());
                self.point_at(start, true);
            }
            "End" => {
                let end = self.info.borrow().end;
                self.look_at(end - view.length(), end);
                self.point_at(end, true);
            }
            "+" | "=" => self.zoom(ZOOM, self.middle()),
            "-" => self.zoom(1.0 / ZOOM, self.middle()),
            "0" => self.see_all(),
            "Escape" => {
                self.select(None);
                self.leave();
            }
            _ => return,
        }
        event.prevent_default();
    }

    fn see_all(self) {
        self.view.set(self.room(&self.info.borrow()));
        self.sum_up();
        self.redraw();
    }

    /// A record in words: when it was taken, which it is, what it holds.
    fn words(self, record: &Record) -> String {
        let mut words = Vec::from([
            match record.utc {
                Some(utc) => {
                    let (date, time) = ticks::local(utc);
                    [&date, " ", time.trim_end_matches(".000")].concat()
                }
                None => say!(
                    "time not known, {elapsed} after power came up",
                    elapsed = ticks::elapsed(record.clock)
                ),
            },
            say!("record {number}", number = count(record.number)),
        ]);
        self.series.with(|series| {
            for (index, value) in &record.values {
                if let Some(series) = series.get(*index) {
                    let unit = match series.unit.as_str() {
                        "" => String::new(),
                        unit => [" ", unit].concat(),
                    };
                    let alarm = match record.alarms.0 >> series.channel & 1 {
                        1 => [" (", &say!("alarm"), ")"].concat(),
                        _ => String::new(),
                    };
                    let value = with_mark(value.clone());
                    words.push([&series.name, " ", &value, &unit, &alarm].concat());
                }
            }
        });
        for (bit, text) in [
            (Happened::START, say!("the logger was started before it")),
            (Happened::MISSING, say!("records are missing before it")),
            (
                Happened::PAUSE,
                say!("no records were taken for a while before it"),
            ),
            (
                Happened::CHANGE,
                say!("settings or clock were changed before it"),
            ),
        ] {
            if record.before & bit != 0 {
                words.push(text);
            }
        }
        words.join(" · ")
    }

    /// The chart with all that belongs to it.
    pub(crate) fn view(self) -> View {
        let canvas = &self.canvas;
        let help = say!(
            "Drag to move, turn the wheel or pinch to come closer; hold Shift and drag to select. Keys: arrows go from record to record, with Shift they select; plus and minus come closer and go away; Home, End, Page up, Page down, 0 for all."
        );
        for (name, value) in [
            ("role", "application"),
            ("tabindex", "0"),
            ("aria-label", &say!("Chart of the records")),
            ("aria-describedby", "chart-help"),
            ("class", "chart"),
        ] {
            let _ = canvas.set_attribute(name, value);
        }
        let words = move || {
            self.record.with(|record| match record {
                Some(record) => self.words(record),
                None => String::new(),
            })
        };
        all([
            el("div").class("row").with([
                button(move || self.see_all()).text(say!("Show all")),
                button(move || self.zoom(ZOOM, self.middle()))
                    .attr("aria-label", say!("Come closer"))
                    .text("+"),
                button(move || self.zoom(1.0 / ZOOM, self.middle()))
                    .attr("aria-label", say!("Go away"))
                    .text("\u{2212}"),
                button(move || {
                    let selection = match self.selection.get() {
                        Some(_) => None,
                        None => Some(self.view.get()),
                    };
                    self.select(selection);
                })
                .text(live(move || match self.selection.get() {
                    Some(_) => say!("Clear the selection"),
                    None => say!("Select what is shown"),
                })),
            ]),
            kept(canvas),
            el("p").class("readout").text(live(words)),
            el("p")
                .class("unseen")
                .attr("role", "status")
                .text(live(move || self.spoken.get())),
            self.lines(),
            el("p").class("hint").attr("id", "chart-help").text(help),
            el("p").class("hint").text(say!(
                "▲ started · ◆ settings or clock changed · hatched: no records, or their time is not known · ● beyond an alarm threshold · red dashes: the threshold that the logger has now"
            )),
        ])
    }

    /// The lines, to switch them on and off, with what each amounts to.
    fn lines(self) -> View {
        let caption = move || {
            let records = self.sums.with(|sums| sums.records);
            let number = count(records as u32);
            match self.selection.get() {
                Some(_) => say!("{number} records are selected", number),
                None => say!("{number} records are shown", number),
            }
        };
        choose(
            move || self.series.with(|series| self.with_alarms(series)),
            move |series| {
                // Thresholds are in the chart, too.
                self.redraw();
                if series.is_empty() {
                    return all([]);
                }
                let head = [say!("Channel"), say!("Least"), say!("Mean"), say!("Most")];
                el("table").class("lines").with([
                    el("caption").text(live(caption)),
                    el("thead").with([el("tr").with(
                        head.into_iter()
                            .map(|name| el("th").attr("scope", "col").text(name)),
                    )]),
                    el("tbody").with(
                        series
                            .iter()
                            .enumerate()
                            .map(|(index, (series, alarm))| self.line(index, series, *alarm)),
                    ),
                ])
            },
        )
    }

    fn line(self, index: usize, series: &Series, alarm: Option<Alarm>) -> View {
        let is_hidden = move || self.hidden.with(|hidden| hidden.contains(&index));
        let toggle = button(move || {
            self.hidden.update(|hidden| {
                let count = hidden.len();
                hidden.retain(|other| *other != index);
                if hidden.len() == count {
                    hidden.push(index);
                }
            });
            self.redraw();
        })
        .class("line")
        .attr("data-line", (index % draw::LINES).to_string())
        .attr("aria-pressed", live(move || (!is_hidden()).to_string()));
        let value = move |which: usize| {
            let value = live(move || {
                self.sums.with(|sums| {
                    let sums = sums.series.get(index).copied().flatten();
                    sums.map_or_else(|| "–".into(), |sums| readable(sums[which], &sums))
                })
            });
            el("td").text(value)
        };
        let name = match series.unit.as_str() {
            "" => series.name.clone(),
            unit => [&series.name, " (", unit, ")"].concat(),
        };
        el("tr")
            // A channel that is off, or has other records, has nothing to show.
            .flag("hidden", move || {
                self.sums.with(|sums| {
                    sums.records > 0.0 && sums.series.get(index).copied().flatten().is_none()
                }) && !is_hidden()
            })
            .with([
                el("th").attr("scope", "row").with([
                    toggle.with([
                        el("i").attr("aria-hidden", "true").with([]),
                        ui::dom::words(name),
                    ]),
                    alarm.map_or_else(nothing, |alarm| {
                        el("span")
                            .class("threshold")
                            .text(threshold(alarm, &series.unit))
                    }),
                ]),
                value(0),
                value(1),
                value(2),
            ])
    }
}

/// A threshold in words.
fn threshold(alarm: Alarm, unit: &str) -> String {
    let value = with_mark(number_text(alarm.threshold, 3));
    let value = [&value, " ", unit].concat();
    let value = value.trim_end();
    if alarm.is_below {
        say!("alarm below {value}", value)
    } else {
        say!("alarm above {value}", value)
    }
}

/// With as many decimals as tell the values of a line from each other.
fn readable(value: f64, sums: &[f64; 3]) -> String {
    let largest = sums
        .iter()
        .fold(0.0, |most: f64, value| most.max(value.abs()));
    decimal(
        value,
        match largest {
            1000.0.. => 0,
            100.0.. => 1,
            10.0.. => 2,
            _ => 3,
        },
    )
}

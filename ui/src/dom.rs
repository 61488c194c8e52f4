//! Elements of the page, and the places in it that change.
//!
//! A view is made once, as a node. What may change in it is a function, asked again after each change of a
//! [`Signal`](crate::signal::Signal), and written to the page only when the answer is another one. Nothing here takes
//! HTML as text.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::prelude::*;
use web_sys::{Document, Element, Event, EventTarget, HtmlElement, Node, Window};

use crate::signal::Changed;
use crate::task::spawn;

/// The browser's window: the page runs nowhere else.
pub fn window() -> Window {
    js_sys::global().unchecked_into()
}

/// The page's document; a window that shows a page has one.
fn document() -> Document {
    js_sys::Reflect::get(&js_sys::global(), &"document".into())
        .unwrap_or_default()
        .unchecked_into()
}

/// The element that is the whole page.
pub fn root() -> HtmlElement {
    document()
        .document_element()
        .map(JsCast::unchecked_into)
        .unwrap_or_else(|| wasm_bindgen::throw_str("no page"))
}

/// The element that everything to be seen is in.
pub fn body() -> Element {
    // There is none only while the page is still being read.
    document()
        .body()
        .map(JsCast::unchecked_into)
        .unwrap_or_else(|| wasm_bindgen::throw_str("no body"))
}

/// Something to be shown: an element, a text, or several of them; with all that keeps it up to date.
pub struct View(Box<Made>);

/// Behind a box, so that handing it on costs next to no code.
struct Made {
    node: Node,
    parts: Vec<Part>,
}

/// What belongs to a view.
enum Part {
    /// Looks whether something has changed.
    Look(Box<dyn FnMut()>),
    /// Ends with the view.
    Listener(#[expect(dead_code, reason = "it is only kept")] Listener),
}

fn look(parts: &mut [Part]) {
    for part in parts {
        if let Part::Look(look) = part {
            look();
        }
    }
}

/// A text, or one that may change.
pub enum Text {
    /// It stays.
    Fixed(String),
    /// It is asked again after each change.
    Live(Box<dyn Fn() -> String>),
}

impl From<String> for Text {
    fn from(text: String) -> Text {
        Text::Fixed(text)
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text::Fixed(text.into())
    }
}

/// A text that may change.
pub fn live(read: impl Fn() -> String + 'static) -> Text {
    Text::Live(Box::new(read))
}

impl Text {
    /// Hands it to `write` now, and with each change.
    fn write(self, parts: &mut Vec<Part>, write: Box<dyn Fn(&str)>) {
        match self {
            Text::Fixed(text) => write(&text),
            Text::Live(read) => {
                let mut last = read();
                write(&last);
                parts.push(Part::Look(Box::new(move || {
                    let text = read();
                    if text != last {
                        write(&text);
                        last = text;
                    }
                })));
            }
        }
    }
}

/// Hands an answer to `write` now, and whenever it is another one.
fn answer(parts: &mut Vec<Part>, read: Box<dyn Fn() -> bool>, write: Box<dyn Fn(bool)>) {
    let mut last = read();
    write(last);
    parts.push(Part::Look(Box::new(move || {
        let now = read();
        if now != last {
            write(now);
            last = now;
        }
    })));
}

/// An element that is being made.
pub struct El(Box<Made>);

/// A new element.
pub fn el(tag: &str) -> El {
    // It fails for what is no name of an element.
    let element = document()
        .create_element(tag)
        .unwrap_or_else(|error| wasm_bindgen::throw_val(error));
    El(Box::new(Made {
        node: element.into(),
        parts: Vec::new(),
    }))
}

impl El {
    fn element(&self) -> Element {
        self.0.node.clone().unchecked_into()
    }

    /// Gives it an attribute.
    pub fn attr(self, name: &'static str, value: impl Into<Text>) -> El {
        self.set(name, value.into())
    }

    fn set(mut self, name: &'static str, value: Text) -> El {
        let element = self.element();
        let write = move |value: &str| {
            // It fails for what is no name of an attribute.
            let _ = element.set_attribute(name, value);
        };
        value.write(&mut self.0.parts, Box::new(write));
        self
    }

    /// Its classes.
    pub fn class(self, names: &'static str) -> El {
        self.element().set_class_name(names);
        self
    }

    /// An attribute that is there or not, such as `hidden`.
    pub fn flag(self, name: &'static str, on: impl Fn() -> bool + 'static) -> El {
        self.flag_boxed(name, Box::new(on))
    }

    fn flag_boxed(mut self, name: &'static str, on: Box<dyn Fn() -> bool>) -> El {
        let element = self.element();
        let write = move |on: bool| {
            let _ = element.toggle_attribute_with_force(name, on);
        };
        answer(&mut self.0.parts, on, Box::new(write));
        self
    }

    /// A class that it has or not.
    pub fn class_when(self, name: &'static str, on: impl Fn() -> bool + 'static) -> El {
        self.class_when_boxed(name, Box::new(on))
    }

    fn class_when_boxed(mut self, name: &'static str, on: Box<dyn Fn() -> bool>) -> El {
        let classes = self.element().class_list();
        let write = move |on: bool| {
            let _ = classes.toggle_with_force(name, on);
        };
        answer(&mut self.0.parts, on, Box::new(write));
        self
    }

    /// A property that is true or not: whether a box is ticked now, rather than whether it began ticked.
    pub fn property(self, name: &'static str, on: impl Fn() -> bool + 'static) -> El {
        self.property_boxed(name, Box::new(on))
    }

    fn property_boxed(mut self, name: &'static str, on: Box<dyn Fn() -> bool>) -> El {
        let element = self.element();
        let write = move |on: bool| {
            let _ = js_sys::Reflect::set(&element, &name.into(), &on.into());
        };
        answer(&mut self.0.parts, on, Box::new(write));
        self
    }

    /// What an input holds now, rather than what it began with.
    pub fn value(mut self, value: impl Fn() -> String + 'static) -> El {
        let element = self.element();
        let write = move |value: &str| {
            let _ = js_sys::Reflect::set(&element, &"value".into(), &value.into());
        };
        live(value).write(&mut self.0.parts, Box::new(write));
        self
    }

    /// A property of its style.
    pub fn style(mut self, name: &'static str, value: impl Fn() -> String + 'static) -> El {
        let style = self.element().unchecked_into::<HtmlElement>().style();
        let write = move |value: &str| {
            let _ = style.set_property(name, value);
        };
        live(value).write(&mut self.0.parts, Box::new(write));
        self
    }

    /// What happens at an event.
    pub fn on(mut self, event: &'static str, act: impl Fn(Event) + 'static) -> El {
        let listener = Listener::new(&self.0.node, event, Box::new(act));
        self.0.parts.push(Part::Listener(listener));
        self
    }

    /// The whole element, with what is in it.
    pub fn with(self, children: impl IntoIterator<Item = View>) -> View {
        put(self.0, &mut children.into_iter())
    }

    /// The whole element, with a text in it.
    pub fn text(self, text: impl Into<Text>) -> View {
        self.with([words(text)])
    }
}

fn put(mut made: Box<Made>, children: &mut dyn Iterator<Item = View>) -> View {
    for View(child) in children {
        // It fails only for what cannot be inside this kind of node.
        let _ = made.node.append_child(&child.node);
        made.parts.extend(child.parts);
    }
    View(made)
}

/// A text between elements.
pub fn words(text: impl Into<Text>) -> View {
    write_node(text.into())
}

fn write_node(text: Text) -> View {
    let node = document().create_text_node("");
    let written = node.clone();
    let mut parts = Vec::new();
    text.write(&mut parts, Box::new(move |text| written.set_data(text)));
    View(Box::new(Made {
        node: node.into(),
        parts,
    }))
}

/// Several views, one after the other.
pub fn all(views: impl IntoIterator<Item = View>) -> View {
    let fragment = Made {
        node: document().create_document_fragment().into(),
        parts: Vec::new(),
    };
    put(Box::new(fragment), &mut views.into_iter())
}

/// An element that is kept up to date elsewhere.
pub fn kept(element: &Element) -> View {
    View(Box::new(Made {
        node: element.clone().into(),
        parts: Vec::new(),
    }))
}

/// A new element for somebody else to fill, to be shown by [`kept`].
pub fn place(tag: &str) -> Element {
    el(tag).element()
}

/// Nothing to see.
pub fn nothing() -> View {
    all([])
}

/// A view for each value of `key`, made anew only when that is another one.
pub fn choose<K: PartialEq + 'static>(
    key: impl Fn() -> K + 'static,
    view: impl Fn(&K) -> View + 'static,
) -> View {
    let mut last = None;
    changing(Box::new(move || {
        let now = key();
        if last.as_ref() == Some(&now) {
            return None;
        }
        let made = view(&now);
        last = Some(now);
        Some(made)
    }))
}

/// A view while `condition` holds.
pub fn when(condition: impl Fn() -> bool + 'static, view: impl Fn() -> View + 'static) -> View {
    either(condition, view, nothing)
}

/// One view while `condition` holds, and another one while it does not.
pub fn either(
    condition: impl Fn() -> bool + 'static,
    view: impl Fn() -> View + 'static,
    other: impl Fn() -> View + 'static,
) -> View {
    either_boxed(Box::new(condition), Box::new(view), Box::new(other))
}

fn either_boxed(
    condition: Box<dyn Fn() -> bool>,
    view: Box<dyn Fn() -> View>,
    other: Box<dyn Fn() -> View>,
) -> View {
    choose(
        condition,
        move |holds| if *holds { view() } else { other() },
    )
}

/// A place in the page whose content changes: between two comments. `next` gives the view to be shown from now on, when
/// that is another one.
fn changing(mut next: Box<dyn FnMut() -> Option<View>>) -> View {
    let document = document();
    let (start, end) = (document.create_comment(""), document.create_comment(""));
    let here: Node = document.create_document_fragment().into();
    let _ = here.append_child(&start);
    let _ = here.append_child(&end);
    let mut shown: Vec<Part> = Vec::new();
    let mut follow = move || {
        let Some(View(view)) = next() else {
            look(&mut shown);
            return;
        };
        while let Some(old) = start
            .next_sibling()
            .filter(|node| !node.is_same_node(Some(&end)))
        {
            if let Some(parent) = old.parent_node() {
                let _ = parent.remove_child(&old);
            }
        }
        if let Some(parent) = end.parent_node() {
            let _ = parent.insert_before(&view.node, Some(&end));
        }
        shown = view.parts;
    };
    follow();
    View(Box::new(Made {
        node: here,
        parts: Vec::from([Part::Look(Box::new(follow))]),
    }))
}

/// Something that listens for as long as it is there.
struct Listener {
    target: EventTarget,
    event: &'static str,
    act: Closure<dyn Fn(Event)>,
}

impl Listener {
    fn new(target: &EventTarget, event: &'static str, act: Box<dyn Fn(Event)>) -> Listener {
        let act = Closure::wrap(act);
        let _ = target.add_event_listener_with_callback(event, act.as_ref().unchecked_ref());
        Listener {
            target: target.clone(),
            event,
            act,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self
            .target
            .remove_event_listener_with_callback(self.event, self.act.as_ref().unchecked_ref());
    }
}

/// Calls `act` at each such event, for as long as the page is there.
pub fn listen(target: &EventTarget, event: &'static str, act: impl Fn(Event) + 'static) {
    core::mem::forget(Listener::new(target, event, Box::new(act)));
}

/// Shows views in their elements, up to date for as long as the page is there.
pub fn mount<const N: usize>(mut views: [(View, Element); N], mut changed: Changed) {
    for (View(view), place) in &views {
        let _ = place.append_child(&view.node);
    }
    spawn(async move {
        loop {
            changed.next().await;
            for (View(view), _) in &mut views {
                look(&mut view.parts);
            }
        }
    });
}

/// An element by its id.
pub fn by_id(id: &str) -> Option<HtmlElement> {
    document().get_element_by_id(id).map(JsCast::unchecked_into)
}

/// Gives an element the focus if nothing has it any more: what had it is gone.
pub fn catch_focus(id: &'static str) {
    // What is being made is in the page only then.
    spawn(async move {
        let focused = document().active_element();
        let body = document().body();
        if focused.is_none_or(|focused| focused.is_same_node(body.as_deref().map(AsRef::as_ref)))
            && let Some(element) = by_id(id)
        {
            let _ = element.focus();
        }
    });
}

/// The text in the input that an event is of.
pub fn input_value(event: &Event) -> String {
    property_of(event, "value").as_string().unwrap_or_default()
}

/// Whether the box that an event is of is ticked.
pub fn input_checked(event: &Event) -> bool {
    property_of(event, "checked").is_truthy()
}

fn property_of(event: &Event, name: &str) -> JsValue {
    event
        .target()
        .and_then(|target| js_sys::Reflect::get(&target, &name.into()).ok())
        .unwrap_or_default()
}

/// A button that does something.
pub fn button(act: impl Fn() + 'static) -> El {
    el("button")
        .attr("type", "button")
        .on("click", move |_| act())
}

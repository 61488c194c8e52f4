//! The vendor interface, for browsers that have WebUSB and no Web Serial: what the logger's descriptors say of it, byte
//! by byte, a whole update and download over it, and that it and the serial port never come into each other's way.

use std::time::Duration;

use emulator::machine::{Machine, Options};
use emulator::time::Time;
use emulator::usb_host::{ControlResult, Descriptors, HostSystem, Manners};
use futures_executor::block_on;
use host::conversation::Conversation;
use host::device::read_status;
use host::protocol::device::Program;
use host::protocol::message::{CommonRequest, Message, Packet, Request};
use host::update::{Progress, update};
use logdock_tests::{
    EmulatedLink, V1_0, V1_1, built, connect, direct_logger, download, factory_logger, firmware,
    restart, running,
};

/// A machine that a Windows computer has set up, with so much in flash.
fn enumerated(image: &str) -> Machine {
    let mut machine = Machine::new(Options::default());
    machine.program_flash(0x0800_0000, &built(image)).unwrap();
    machine
        .usb_mut()
        .set_manners(Manners::seeded(HostSystem::Windows, 1));
    machine.usb_mut().attach();
    machine.power_on();
    machine.run_for(Time::from_millis(2_000)).unwrap();
    assert!(machine.usb().is_configured());
    machine
}

/// Takes `length` bytes off the front.
fn take<'a>(rest: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (taken, left) = rest.split_at(length);
    *rest = left;
    taken
}

/// Takes one descriptor off the front, whose first byte is its length, and second its type.
fn descriptor<'a>(rest: &mut &'a [u8], length: usize, kind: u8) -> &'a [u8] {
    let taken = take(rest, length);
    assert_eq!(
        [usize::from(taken[0]), usize::from(taken[1])],
        [length, kind.into()]
    );
    &taken[2..]
}

/// Takes one of Windows' descriptors off the front: length and type have two bytes each.
fn microsoft<'a>(rest: &mut &'a [u8], length: usize, kind: u16) -> &'a [u8] {
    let taken = take(rest, length);
    assert_eq!(half(taken, 0), length as u16);
    assert_eq!(half(taken, 2), kind);
    &taken[4..]
}

fn half(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// UTF-16, as far as it goes.
fn wide(bytes: &[u8]) -> String {
    let units: Vec<u16> = bytes.chunks(2).map(|pair| half(pair, 0)).collect();
    String::from_utf16(&units).unwrap()
}

#[test]
fn both_programs_describe_the_same_device() {
    let [logger, bootloader, direct] = [
        "factory-1.0.0.bin",
        "bootloader.bin",
        "bootloader-direct.bin",
    ]
    .map(|image| {
        let machine = enumerated(image);
        assert_eq!(machine.usb().violations(), [""; 0]);
        let identity = machine.usb().identity().unwrap().clone();
        (machine.usb().descriptors().clone(), identity)
    });
    assert_eq!(logger, bootloader);
    assert_eq!(logger, direct);
}

#[test]
fn the_configuration_has_a_serial_port_and_a_vendor_interface() {
    let machine = enumerated("factory-1.0.0.bin");
    let Descriptors {
        device,
        configuration,
        ..
    } = machine.usb().descriptors();
    let device = descriptor(&mut &device[..], 18, 1);
    // USB 2.1: only then is a computer to ask for a binary object store. Functions are grouped by associations.
    assert_eq!(half(device, 0), 0x0210);
    assert_eq!(device[2..5], [0xEF, 2, 1]);
    assert_eq!(device[15], 1, "one configuration");

    let mut rest = &configuration[..];
    let head = descriptor(&mut rest, 9, 2);
    assert_eq!(usize::from(half(head, 0)), configuration.len());
    assert_eq!(head[2..4], [3, 1], "three interfaces in configuration 1");
    // The serial port has interfaces 0 and 1; the vendor interface belongs to no association.
    assert_eq!(descriptor(&mut rest, 8, 11), [0, 2, 2, 2, 0, 0]);
    assert_eq!(descriptor(&mut rest, 9, 4), [0, 0, 1, 2, 2, 0, 0]);
    assert_eq!(descriptor(&mut rest, 5, 0x24), [0x00, 0x10, 0x01]);
    assert_eq!(descriptor(&mut rest, 4, 0x24), [0x02, 0x02]);
    assert_eq!(descriptor(&mut rest, 5, 0x24), [0x06, 0, 1]);
    assert_eq!(descriptor(&mut rest, 5, 0x24), [0x01, 0x00, 1]);
    let mut endpoints = vec![descriptor(&mut rest, 7, 5)];
    assert_eq!(descriptor(&mut rest, 9, 4), [1, 0, 2, 0x0A, 0, 0, 0]);
    endpoints.extend([descriptor(&mut rest, 7, 5), descriptor(&mut rest, 7, 5)]);
    assert_eq!(descriptor(&mut rest, 9, 4), [2, 0, 2, 0xFF, b'L', b'D', 0]);
    endpoints.extend([descriptor(&mut rest, 7, 5), descriptor(&mut rest, 7, 5)]);
    assert_eq!(rest, [0; 0]);

    let mut addresses: Vec<u8> = endpoints.iter().map(|endpoint| endpoint[0]).collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), 5, "no two endpoints have one address");
    for [input, output] in [[1, 2], [3, 4]].map(|pair| pair.map(|index| endpoints[index])) {
        assert_eq!(input[0], output[0] | 0x80);
        // Bulk, 64 bytes.
        assert_eq!(input[1..], [2, 64, 0, 0]);
        assert_eq!(output[1..], [2, 64, 0, 0]);
    }
}

#[test]
fn the_object_store_tells_of_webusb_and_of_windows_descriptors() {
    let machine = enumerated("factory-1.0.0.bin");
    let Descriptors { bos, microsoft, .. } = machine.usb().descriptors();
    let mut rest = &bos[..];
    let head = descriptor(&mut rest, 5, 15);
    assert_eq!(usize::from(half(head, 0)), bos.len());
    assert_eq!(head[2], 2, "two capabilities");

    // {3408B638-09A9-47A0-8BFD-A0768815B665}, WebUSB 1.00, and no page of its own.
    let web = descriptor(&mut rest, 24, 16);
    assert_eq!(web[..2], [5, 0]);
    assert_eq!(
        web[2..18],
        0x3408B638_09A9_47A0_8BFD_A0768815B665_u128.to_guid()
    );
    assert_eq!(half(web, 18), 0x0100);
    assert_eq!(web[21], 0);

    // {D8DD60DF-4589-4CC7-9CD2-659D9E648A9F}, from Windows 8.1 on.
    let windows = descriptor(&mut rest, 28, 16);
    assert_eq!(rest, [0; 0]);
    assert_eq!(windows[..2], [5, 0]);
    assert_eq!(
        windows[2..18],
        0xD8DD60DF_4589_4CC7_9CD2_659D9E648A9F_u128.to_guid()
    );
    assert_eq!(windows[18..22], [0, 0, 3, 6]);
    assert_eq!(usize::from(half(windows, 22)), microsoft.len());
    assert_ne!(windows[24], web[20], "two requests");
    assert_eq!(windows[25], 0, "there is no other set of descriptors");
}

#[test]
fn windows_is_told_to_serve_the_vendor_interface_with_winusb() {
    let machine = enumerated("factory-1.0.0.bin");
    let set = &machine.usb().descriptors().microsoft;
    let mut rest = &set[..];
    let head = microsoft(&mut rest, 10, 0);
    assert_eq!(head[..4], [0, 0, 3, 6], "Windows 8.1");
    assert_eq!(usize::from(half(head, 4)), set.len());
    // Subsets count their own heads. Configurations are counted from 0 here.
    let inside = rest.len();
    let configuration = microsoft(&mut rest, 8, 1);
    assert_eq!(configuration[..2], [0, 0]);
    assert_eq!(usize::from(half(configuration, 2)), inside);
    let inside = rest.len();
    let function = microsoft(&mut rest, 8, 2);
    assert_eq!(Some(function[0]), machine.usb().vendor_interface());
    assert_eq!(function[1], 0);
    assert_eq!(usize::from(half(function, 2)), inside);
    assert_eq!(microsoft(&mut rest, 20, 3), b"WINUSB\0\0\0\0\0\0\0\0\0\0");
    // Strings (REG_MULTI_SZ): each ends with a zero, and all of them with another.
    let length = rest.len();
    let mut property = microsoft(&mut rest, length, 4);
    assert_eq!(half(take(&mut property, 2), 0), 7);
    let length = half(take(&mut property, 2), 0);
    assert_eq!(
        wide(take(&mut property, length.into())),
        "DeviceInterfaceGUIDs\0"
    );
    let length = half(take(&mut property, 2), 0);
    let value = wide(take(&mut property, length.into()));
    assert_eq!(property, [0; 0]);
    let guid = value.strip_suffix("\0\0").unwrap();
    let shape: String = guid
        .chars()
        .map(|char| if char.is_ascii_hexdigit() { 'x' } else { char })
        .collect();
    assert_eq!(shape, "{xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx}");
}

#[test]
fn requests_of_the_vendor_that_it_does_not_know_are_stalled() {
    for image in ["factory-1.0.0.bin", "bootloader.bin"] {
        let mut machine = enumerated(image);
        let set = machine.usb().descriptors().microsoft.clone();
        let bos = machine.usb().descriptors().bos.clone();
        let (web, windows) = (bos[5 + 22], bos[5 + 24 + 26]);
        let ask = |code, value, index, length| [0xC0, code, value, 0, index, 0, length, 0];
        let usb = machine.usb_mut();
        for (setup, data) in [
            (ask(windows, 0, 7, 0xFF), vec![]),
            (ask(windows, 0, 7, 10), vec![]),
            // Another index; a page of WebUSB's, of which there is none; a number that nobody named.
            (ask(windows, 0, 8, 0xFF), vec![]),
            (ask(windows, 0, 4, 0xFF), vec![]),
            (ask(web, 1, 2, 0xFF), vec![]),
            (ask(0x77, 0, 7, 0xFF), vec![]),
            // The same to an interface, and towards the device.
            ([0xC1, windows, 0, 0, 7, 0, 0xFF, 0], vec![]),
            ([0x40, windows, 0, 0, 7, 0, 4, 0], vec![1; 4]),
            ([0x40, windows, 0, 0, 7, 0, 0, 0], vec![]),
            ([0x80, 6, 0, 15, 0, 0, 5, 0], vec![]),
        ] {
            usb.control(setup, data);
        }
        machine.run_for(Time::from_millis(200)).unwrap();
        let mut expected = vec![ControlResult::Stalled; 10];
        expected[0] = ControlResult::Done(set.clone());
        expected[1] = ControlResult::Done(set[..10].to_vec());
        expected[9] = ControlResult::Done(bos[..5].to_vec());
        assert_eq!(machine.usb_mut().control_results(), expected, "{image}");
        let (_, device) = connect(EmulatedLink::new(machine).over_vendor_interface());
        assert_eq!(running(&device).is_some(), image.starts_with("factory"));
    }
}

#[test]
fn an_update_goes_on_by_itself_when_the_plug_is_put_in_again() {
    let (mut conversation, device) = connect(factory_logger().over_vendor_interface());
    let file = firmware("logger-1.1.0.bin");
    let link = conversation.link();
    link.unplug_after_sending(file.image().len() / 2);
    link.plug_in_again_after(Duration::from_secs(3));
    let mut unplugged = false;
    let after = block_on(update(&mut conversation, &device, &file, |step| {
        unplugged |= matches!(step, Progress::Unplugged { .. });
    }))
    .unwrap();
    assert!(unplugged);
    assert_eq!(running(&after), Some(V1_1));
    let usb = conversation.link().machine.usb_mut();
    assert!(usb.read().is_empty(), "nothing was said on the serial port");
    assert!(usb.violations().is_empty(), "{:?}", usb.violations());
}

#[test]
fn the_bootloader_takes_an_update_over_it() {
    let (mut conversation, device) = connect(direct_logger().over_vendor_interface());
    let file = firmware("logger-direct-1.1.0.bin");
    let after = block_on(update(&mut conversation, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn the_log_comes_over_both_ways_alike() {
    let mut link = factory_logger();
    // On its battery: there it sleeps between two records, and the emulator skips that.
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(600));
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    let status = block_on(read_status(&mut conversation)).unwrap();
    let (serial, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    let (mut conversation, _) = connect(conversation.into_link().over_vendor_interface());
    let (vendor, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    assert!(status.next_record > 550, "{status:?}");
    // It went on recording meanwhile.
    assert!(serial.len() > 10, "{}", serial.len());
    assert_eq!(vendor[..serial.len() - 1], serial[..serial.len() - 1]);
}

#[test]
fn an_interface_that_is_set_anew_goes_on_with_every_byte() {
    for over_vendor in [false, true] {
        let mut link = factory_logger();
        if over_vendor {
            link = link.over_vendor_interface();
        }
        let (mut conversation, _) = connect(link);
        let set = |interface| [1, 11, 0, 0, interface, 0, 0, 0];
        for round in 0..5 {
            let link = conversation.link();
            for interface in 0..=3 {
                link.machine.usb_mut().control(set(interface), vec![]);
            }
            link.run(Duration::from_millis(10));
            let results = link.machine.usb_mut().control_results();
            assert_eq!(results[..3], [const { ControlResult::Done(vec![]) }; 3]);
            assert_eq!(
                results[3],
                ControlResult::Stalled,
                "there is no such interface"
            );
            let began = link.machine.now();
            block_on(conversation.tell(CommonRequest::AbortUpload)).unwrap();
            let took = conversation.link().machine.now() - began;
            assert!(took < Time::from_millis(100), "round {round}: asked twice");
        }
        let violations = conversation.link().machine.usb().violations();
        assert!(violations.is_empty(), "{violations:?}");
    }
}

/// The same frame many times: who the logger is.
fn questions() -> Vec<u8> {
    let request: Request<'_> = Message::Common(CommonRequest::DeviceInfo);
    let mut frame = [0; 32];
    let length = Packet {
        sequence: 7,
        message: request,
    }
    .frame(&mut frame)
    .unwrap();
    frame[..length].repeat(40)
}

#[test]
fn a_program_that_ended_in_the_middle_leaves_the_port_to_the_other_way() {
    let (serial, _) = connect(factory_logger());
    let mut machine = serial.into_link().machine;
    // Nobody fetches what it answers, so it takes no more questions.
    machine.usb_mut().set_terminal_ready(false);
    machine.usb_mut().write(&questions());
    machine.run_for(Time::from_millis(100)).unwrap();
    assert!(machine.usb().pending_out() > 0);
    let (vendor, _) = connect(EmulatedLink::new(machine).over_vendor_interface());

    let mut machine = vendor.into_link().machine;
    machine.usb_mut().cancel_transfers();
    machine.usb_mut().send_transfer(&questions());
    machine.run_for(Time::from_millis(100)).unwrap();
    assert_eq!(machine.usb().transfers_to_send(), 1);
    machine.usb_mut().set_terminal_ready(true);
    let (mut serial, device) = connect(EmulatedLink::new(machine));
    let file = firmware("logger-1.1.0.bin");
    let after = block_on(update(&mut serial, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_1));
}

/// Lets bytes come on the way that is not talked over, again and again, while an update runs.
fn updated_amid_noise(over_vendor: bool, noise: &[u8]) {
    let mut link = factory_logger();
    if over_vendor {
        link = link.over_vendor_interface();
    }
    let (mut conversation, device) = connect(link);
    let file = firmware("logger-1.1.0.bin");
    let before = conversation.hello();
    for _ in 0..4 {
        let usb = conversation.link().machine.usb_mut();
        for _ in 0..200 {
            if over_vendor {
                usb.write(noise);
            } else {
                usb.send_transfer(noise);
            }
        }
        block_on(conversation.tell(CommonRequest::AbortUpload)).unwrap();
        let upload = conversation.upload(file.digest(), file.image(), |_| {});
        block_on(upload).unwrap();
    }
    assert_eq!(conversation.hello(), before, "nobody had to greet again");
    let usb = conversation.link().machine.usb();
    assert_eq!((usb.pending_out(), usb.transfers_to_send()), (0, 0));
    let after = block_on(update(&mut conversation, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn noise_on_one_way_does_not_disturb_a_conversation_on_the_other() {
    // What ModemManager asks of every new serial port; a frame that says hello, without the end of one before it.
    let hello = [2, 5, 1, 7, 1, 1, 0xBA, 0x79, 0xDE, 0x60, 0];
    for over_vendor in [false, true] {
        updated_amid_noise(over_vendor, b"AT+GCAP\r");
    }
    // Packets of a serial port would begin anywhere in it.
    updated_amid_noise(false, &hello);
}

#[test]
fn a_conversation_on_the_other_way_takes_the_port_over_and_gives_it_back() {
    let (mut serial, _) = connect(factory_logger());
    for _ in 0..3 {
        let (mut vendor, device) = connect(serial.into_link().over_vendor_interface());
        assert_eq!(running(&device), Some(V1_0));
        assert_eq!(vendor.hello().program, Program::Application);
        block_on(read_status(&mut vendor)).unwrap();
        let mut link = EmulatedLink::new(vendor.into_link().machine);
        link.machine.usb_mut().cancel_transfers();
        link.adopt();
        // It begins with a greeting: what was said on this way before is over.
        serial = block_on(Conversation::open(link))
            .map_err(|(_, error)| error)
            .unwrap();
        block_on(read_status(&mut serial)).unwrap();
    }
    let device = restart(&mut serial);
    assert_eq!(running(&device), Some(V1_0));
}

#[test]
fn whatever_happens_to_the_cable_the_interface_answers_afterwards() {
    for (seed, system) in [HostSystem::Linux, HostSystem::Windows, HostSystem::MacOs]
        .into_iter()
        .cycle()
        .take(9)
        .enumerate()
    {
        let mut link = factory_logger().over_vendor_interface();
        let manners = Manners::seeded(system, seed as u64);
        let usb = link.machine.usb_mut();
        usb.set_manners(Manners {
            incidents: Some(Time::from_millis(60)),
            ..manners.clone()
        });
        for _ in 0..200 {
            // Both ways at once, and what is on one is never a frame.
            let usb = link.machine.usb_mut();
            usb.send_transfer(&[0, 7, 7, 7]);
            usb.ask_transfer(64);
            usb.write(&[7; 40]);
            link.run(Duration::from_millis(7));
        }
        let usb = link.machine.usb_mut();
        assert!(usb.incidents() > 0, "{manners:?}");
        usb.set_manners(manners);
        usb.resume();
        usb.attach();
        link.run(Duration::from_millis(500));
        let (_, device) = connect(link);
        assert_eq!(running(&device), Some(V1_0));
    }
}

/// A UUID as descriptors write it: the first three parts with their lowest bytes first.
trait Guid {
    fn to_guid(self) -> [u8; 16];
}

impl Guid for u128 {
    fn to_guid(self) -> [u8; 16] {
        let mut bytes = self.to_be_bytes();
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }
}

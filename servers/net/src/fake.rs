//! Two networks on one cable, in simulated time.

use crate::frames::{Link, Sender};
use crate::network::Fallback;
use crate::session::{Memory, Work};
use crate::stack::{Answer, Caller, Stack};
use libsys::proto::io::IoError;
use smoltcp::time::{Duration, Instant};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of the cable.
pub struct End {
    mac: [u8; 6],
    incoming: Queue,
    last: Vec<u8>,
    out: Out,
}

/// The sending half.
#[derive(Clone)]
pub struct Out {
    queue: Queue,
    /// Frames that the cable takes before somebody makes room.
    pub room: Rc<Cell<usize>>,
}

impl Sender for Out {
    fn send<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        let mut frame = vec![0; length];
        let result = fill(&mut frame);
        self.room
            .set(self.room.get().checked_sub(1).expect("there was room"));
        self.queue.borrow_mut().push_back(frame);
        result
    }
}

impl Link for End {
    type Sender = Out;
    fn mac(&self) -> [u8; 6] {
        self.mac
    }
    fn receive(&mut self) -> Option<(&[u8], &mut Out)> {
        if self.out.room.get() == 0 {
            return None;
        }
        self.last = self.incoming.borrow_mut().pop_front()?;
        Some((&self.last, &mut self.out))
    }
    fn sender(&mut self) -> Option<&mut Out> {
        (self.out.room.get() > 0).then_some(&mut self.out)
    }
    fn flush(&mut self) {}
}

/// A caller: memory that is or is not there, and the answer it got.
#[derive(Clone)]
pub struct Client(Rc<RefCell<State>>);

struct State {
    memory: Vec<u8>,
    broken: bool,
    alive: bool,
    answer: Option<Result<Answer, IoError>>,
}

impl Client {
    pub fn new(memory: &[u8]) -> Self {
        Self(Rc::new(RefCell::new(State {
            memory: memory.into(),
            broken: false,
            alive: true,
            answer: None,
        })))
    }
    pub fn broken(length: usize) -> Self {
        let client = Self::new(&vec![0; length]);
        client.0.borrow_mut().broken = true;
        client
    }
    pub fn die(&self) {
        self.0.borrow_mut().alive = false;
    }
    pub fn answer(&self) -> Option<Result<Answer, IoError>> {
        self.0.borrow().answer
    }
    pub fn memory(&self) -> Vec<u8> {
        self.0.borrow().memory.clone()
    }
}

impl Memory for Client {
    fn length(&self) -> usize {
        self.0.borrow().memory.len()
    }
    fn copy_in(&self, offset: usize, bytes: &mut [u8]) -> Result<(), IoError> {
        let state = self.0.borrow();
        let lent = state
            .memory
            .get(offset..offset + bytes.len())
            .filter(|_| !state.broken);
        bytes.copy_from_slice(lent.ok_or(IoError::BadBuffer)?);
        Ok(())
    }
    fn copy_out(&self, offset: usize, bytes: &[u8]) -> Result<(), IoError> {
        let state = &mut *self.0.borrow_mut();
        let lent = state
            .memory
            .get_mut(offset..offset + bytes.len())
            .filter(|_| !state.broken);
        lent.ok_or(IoError::BadBuffer)?.copy_from_slice(bytes);
        Ok(())
    }
}

impl Caller for Client {
    fn finish(self, answer: Result<Answer, IoError>) {
        let old = self.0.borrow_mut().answer.replace(answer);
        assert_eq!(old, None, "answered once");
    }
    fn is_alive(&self) -> bool {
        self.0.borrow().alive
    }
}

/// Both networks: 10.0.0.1 and 10.0.0.2, which is also the name server of the first.
pub struct World {
    pub stacks: [Stack<End, Client>; 2],
    pub out: [Out; 2],
    pub now: Instant,
}

impl World {
    /// Both have their addresses.
    pub fn new() -> Self {
        Self::shared_by(1)
    }

    /// [`World::new`], with so many clients of each.
    pub fn shared_by(clients: usize) -> Self {
        let queues: [Queue; 2] = Default::default();
        let out = [0, 1].map(|i: usize| Out {
            queue: queues[i].clone(),
            room: Rc::new(Cell::new(usize::MAX)),
        });
        let now = Instant::ZERO;
        let stacks = [0, 1].map(|i: usize| {
            let end = End {
                mac: [2, 0, 0, 0, 0, i as u8 + 1],
                incoming: queues[1 - i].clone(),
                last: Vec::new(),
                out: out[i].clone(),
            };
            let fallback = format!("10.0.0.{}/24,10.0.0.2,10.0.0.2", i + 1);
            Stack::new(end, clients, Fallback::parse(&fallback), 7 + i as u64, now)
        });
        let mut world = Self { stacks, out, now };
        world.pass(Duration::from_secs(5));
        world
    }

    /// Puts a frame on the cable, as if stack `to` received it.
    pub fn inject(&self, to: usize, frame: &[u8]) {
        self.out[1 - to].queue.borrow_mut().push_back(frame.into());
    }

    /// Lets both work until nothing is on the cable.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            self.stacks
                .iter_mut()
                .for_each(|stack| stack.poll(self.now));
            if self.out.iter().all(|out| out.queue.borrow().is_empty()) {
                return;
            }
        }
        panic!("they never come to rest");
    }

    /// Lets time pass, deadline by deadline.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.settle();
            let next = self.stacks.iter().filter_map(Stack::deadline).min();
            match next {
                Some(next) if next <= end => {
                    self.now = next.max(self.now + Duration::from_micros(1))
                }
                _ => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// Asks, and waits for the answer for up to a minute.
    pub fn ask(
        &mut self,
        stack: usize,
        session: u32,
        work: Work,
        client: &Client,
    ) -> Result<u64, IoError> {
        let now = self.now;
        if let Some(result) = self.stacks[stack].attempt(session, work, client, now) {
            self.settle();
            return result;
        }
        self.stacks[stack].wait(session, work, client.clone(), now);
        self.answer(client)
    }

    /// Waits for an answer.
    pub fn answer(&mut self, client: &Client) -> Result<u64, IoError> {
        for _ in 0..6000 {
            self.settle();
            match client.answer() {
                Some(Ok(Answer::Count(count))) => return Ok(count),
                Some(Ok(Answer::Echo(..))) => panic!("an echo"),
                Some(Err(error)) => return Err(error),
                None => self.pass(Duration::from_millis(10)),
            }
        }
        panic!("never answered")
    }

    /// Opens a name.
    pub fn open(&mut self, stack: usize, name: &str) -> Result<u32, IoError> {
        let opened = self.stacks[stack].open(name, 1, self.now);
        self.settle();
        opened
    }

    /// Reads once: at most `most` bytes.
    pub fn read(&mut self, stack: usize, session: u32, most: usize) -> Result<Vec<u8>, IoError> {
        let client = Client::new(&vec![0; most]);
        let count = self.ask(stack, session, Work::Read, &client)?;
        Ok(client.memory()[..count as usize].to_vec())
    }

    /// Writes once, and says how much was taken.
    pub fn write(&mut self, stack: usize, session: u32, bytes: &[u8]) -> Result<u64, IoError> {
        self.ask(stack, session, Work::Write, &Client::new(bytes))
    }

    /// Accepts the next connection of a listener.
    pub fn accept(&mut self, stack: usize, listener: u32) -> Result<u32, IoError> {
        let name = self.read(stack, listener, 64)?;
        self.open(stack, std::str::from_utf8(&name).expect("a name"))
    }

    /// A connection from stack 0 to stack 1, both sides.
    pub fn connected(&mut self) -> (u32, u32) {
        let listener = self.open(1, "tcp:listen:80").unwrap();
        let near = self.open(0, "tcp:10.0.0.2:80").unwrap();
        let far = self.accept(1, listener).unwrap();
        self.stacks[1].close(listener, self.now);
        (near, far)
    }
}

//! Who runs, for how long, and who pays.

use abi::Error;

use super::{Address, Model, Owed, State};

impl Model {
    /// The highest priority that is ready and not running, -1 if none.
    pub fn top(&self) -> i32 {
        let mut queues = self.ready.iter().rev();
        queues.find(|(_, queue)| !queue.is_empty()).map_or(-1, |(&priority, _)| priority)
    }

    /// A Ready thread that does not run queues behind its equals.
    pub fn make_ready(&mut self, thread: Address) {
        if self.current != Some(thread) {
            let priority = self.thread(thread).priority;
            self.ready.entry(priority).or_default().push_back(thread);
            let limited = self.payer.is_some_and(|payer| priority >= self.thread(payer).priority);
            if limited && self.turn_end.is_none() {
                self.turn_end = Some(self.now + Self::TURN);
            }
        }
    }

    /// It is not in the ready queue any more.
    pub fn make_unready(&mut self, thread: Address) {
        for queue in self.ready.values_mut() {
            queue.retain(|&member| member != thread);
        }
    }

    /// A change of priority sends a ready thread behind its new equals.
    pub fn set_priority(&mut self, thread: Address, priority: i32) {
        if self.thread(thread).priority == priority {
            return;
        }
        self.make_unready(thread);
        self.thread_mut(thread).priority = priority;
        if self.thread(thread).state == State::Ready {
            self.make_ready(thread);
        }
        if self.payer == Some(thread) && self.top() >= priority && self.turn_end.is_none() {
            self.turn_end = Some(self.now + Self::TURN);
        }
    }

    /// Who called hands the processor to its server, on its own account, unless somebody more urgent is ready.
    pub fn hand_over(&mut self, next: Address) {
        if self.thread(next).priority >= self.top() {
            self.current = Some(next);
        } else {
            self.make_ready(next);
        }
    }

    /// Who answered hands the processor back. A reply in the running turn, or to its payer, goes on with it; any other begins
    /// one, behind its equals.
    pub fn hand_back(&mut self, next: Address, in_turn: bool) {
        if in_turn || (self.payer == Some(next) && !self.turn_over) {
            self.hand_over(next);
        } else if self.thread(next).priority > self.top() {
            self.switch_to(Some(next));
        } else {
            self.make_ready(next);
        }
    }

    /// What it owes a caller does not belong to the running turn.
    fn leave_turn(&mut self, thread: Address) {
        if let Owed::Caller(_) = self.thread(thread).owed {
            self.thread_mut(thread).in_turn = false;
        }
    }

    fn begin_turn(&mut self, next: Option<Address>) {
        let time = self.now - self.turn_began;
        match self.payer {
            Some(payer) => self.thread_mut(payer).paid += time,
            None => self.idle_paid += time,
        }
        self.payer = next;
        self.turn_began = self.now;
        self.turn_over = false;
        if let Some(next) = next {
            self.leave_turn(next);
        }
        let contended = next.is_some_and(|next| self.top() >= self.thread(next).priority);
        self.turn_end = contended.then_some(self.now + Self::TURN);
    }

    fn switch_to(&mut self, next: Option<Address>) {
        self.begin_turn(next);
        self.current = next;
    }

    fn pop(&mut self) -> Option<Address> {
        let top = self.top();
        self.ready.get_mut(&top)?.pop_front()
    }

    /// The end of every entry: the most urgent runs, the running thread first among its equals.
    pub fn finish(&mut self) {
        self.reschedule();
        // Whoever runs in user mode comes back from there by SYSCALL, unless it traps.
        if let Some(current) = self.current {
            self.thread_mut(current).vector = 0x100;
        }
    }

    fn reschedule(&mut self) {
        if let Some(current) = self.current
            && self.thread(current).state == State::Ready
        {
            let priority = self.thread(current).priority;
            if priority >= self.top() {
                return;
            }
            self.ready.entry(priority).or_default().push_front(current);
        } else if self.current.is_none() && self.top() < 0 {
            return;
        }
        let next = self.pop();
        self.switch_to(next);
    }

    /// Lets equals run first.
    pub fn rotate(&mut self) {
        let Some(current) = self.current else { return };
        let thread = self.thread(current);
        let priority = thread.priority;
        if thread.state == State::Ready && self.top() >= priority {
            self.ready.entry(priority).or_default().push_back(current);
            let next = self.pop();
            self.switch_to(next);
        }
    }

    /// A thread that goes neither runs nor pays.
    pub fn forget(&mut self, thread: Address) {
        if self.payer == Some(thread) {
            self.begin_turn(self.current.filter(|&current| current != thread));
        }
        if self.current == Some(thread) {
            self.switch_to(None);
        }
    }

    /// From now on the thread gives up at `deadline`.
    pub fn arm(&mut self, thread: Address, deadline: u64) {
        self.thread_mut(thread).deadline = Some(deadline);
        let after = self.timed.partition_point(|&(other, _)| other <= deadline);
        self.timed.insert(after, (deadline, thread));
    }

    /// It need not give up any more.
    pub fn disarm(&mut self, thread: Address) {
        self.thread_mut(thread).deadline = None;
        self.timed.retain(|&(_, member)| member != thread);
    }

    /// The timer fired: at most 16 deadlines, then the time slice.
    pub fn fired(&mut self) {
        for _ in 0..16 {
            match self.timed.first() {
                Some(&(deadline, thread)) if deadline <= self.now => {
                    self.cancel(thread, Error::TimedOut)
                }
                _ => break,
            }
        }
        if self.turn_end.is_some_and(|end| end <= self.now) {
            self.turn_end = None;
            self.end_turn();
        }
    }

    /// Equals of the running thread run first. If there are none, it works on, but not in this turn.
    fn end_turn(&mut self) {
        let Some(current) = self.current else {
            self.turn_over = true;
            return;
        };
        if self.top() >= self.thread(current).priority {
            self.rotate();
        } else {
            self.turn_over = true;
            self.leave_turn(current);
        }
    }
}

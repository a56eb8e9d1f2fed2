//! Running pipelines: each command is a program of its own, and between two of them there is a pipe.

use crate::commands::{self, Place};
use crate::files;
use crate::input::{self, Input};
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use libsys::handle::{Handle, IoError};
use libsys::print::{APPEND, INPUT, OUTPUT};
use libsys::process::{Child, Command, Ended};
use libsys::proto::control::Status;
use libsys::time::Instant;
use libsys::{eprintln, fs, println, rt};
use shell::syntax::{self, Pipeline};

/// Most scripts that run each other.
const DEEPEST: u32 = 8;

/// What the shell knows while it runs.
pub struct Shell {
    /// What is typed, and which programs have ended.
    pub input: Input,
    running: Vec<Program>,
    /// Pipelines so far, for the names of their pipes.
    count: u64,
    depth: u32,
    /// Lines typed so far.
    pub history: VecDeque<String>,
}

/// A program that was started.
struct Program {
    child: Child,
    name: String,
    /// Its ends of pipes, which the shell holds open, too: so that a pipe ends when the program does, not before it has begun.
    ends: Vec<Handle>,
    background: bool,
}

impl Shell {
    /// Nothing runs yet.
    pub fn new(input: Input) -> Self {
        Self {
            input,
            running: Vec::new(),
            count: 0,
            depth: 0,
            history: VecDeque::new(),
        }
    }

    /// Runs a line and says whether its last command succeeded; an error is one line.
    pub fn run(&mut self, line: &str) -> bool {
        let pipelines = match syntax::parse(line) {
            Ok(pipelines) => pipelines,
            Err(error) => {
                eprintln!("shell: {error}");
                return false;
            }
        };
        let mut good = true;
        for pipeline in pipelines {
            match self.pipeline(pipeline) {
                Ok(success) => good = success,
                Err(error) => {
                    eprintln!("{error}");
                    good = false;
                }
            }
            if input::was_interrupted() {
                return false;
            }
        }
        good
    }

    /// Runs one pipeline, and waits for its end unless it shall run in the background.
    fn pipeline(&mut self, mut pipeline: Pipeline) -> Result<bool, String> {
        let first = &mut pipeline.commands[0];
        match first[0].as_str() {
            "time" => {
                first.remove(0);
                if first.is_empty() {
                    return Err("time: give a command".into());
                }
                return self.timed(pipeline);
            }
            "spawn" => {
                first.remove(0);
                pipeline.background = true;
            }
            _ => {}
        }
        let commands = &pipeline.commands;
        if commands.iter().any(Vec::is_empty) {
            return Err("shell: a command is missing".into());
        }
        let alone = commands.len() == 1 && pipeline.input.is_none() && pipeline.output.is_none();
        if let [words] = &commands[..]
            && alone
        {
            let command = commands::find(&words[0]).map(|command| &command.place);
            let done = match command {
                Some(Place::Here(run)) => Some(run(self, &words[1..])),
                Some(Place::Either(run)) if !pipeline.background => Some(run(&words[1..])),
                _ => None,
            };
            if let Some(done) = done {
                let named = |error| format!("{}: {error}", words[0]);
                return done.map(|()| true).map_err(named);
            }
        }
        let from = self.running.len();
        let started = self.start(&pipeline);
        if let Err(error) = started {
            // What has begun would wait for the others in vain.
            let mut begun: Vec<_> = self
                .running
                .drain(from..)
                .map(|program| program.child)
                .collect();
            for child in &begun {
                let _ = child.end();
            }
            while !begun.is_empty()
                && let Some((child, ended)) = self.input.next_end()
            {
                begun.retain(|other| *other != child);
                self.ended(child, ended);
            }
            return Err(error);
        }
        if pipeline.background {
            let ids: Vec<_> = self.running[from..]
                .iter()
                .map(|p| format!("{}", p.child.id()))
                .collect();
            println!("started as {}", ids.join(", "));
            return Ok(true);
        }
        let last = self.running.last().map(|program| program.child);
        Ok(self.wait_for(last))
    }

    fn timed(&mut self, pipeline: Pipeline) -> Result<bool, String> {
        let start = Instant::now();
        let result = self.pipeline(pipeline);
        let time = start.elapsed();
        println!("{}.{:06} s", time.as_secs(), time.subsec_micros());
        result
    }

    fn start(&mut self, pipeline: &Pipeline) -> Result<(), String> {
        let (count, last) = (pipeline.commands.len(), pipeline.commands.len() - 1);
        if let Some(name) = &pipeline.output
            && !pipeline.append
        {
            // Empties it, and says early if it cannot be.
            fs::create(name).map_err(|error| format!("shell: {name}: {error}"))?;
        }
        self.count += 1;
        let pipe = |index: usize| format!("pipe:{}-{}-{index}", rt::info().id, self.count);
        let mut ends: Vec<Vec<Handle>> = (0..count).map(|_| Vec::new()).collect();
        for index in 0..last {
            let name = pipe(index);
            let named = |error: IoError| format!("shell: {name}: {error}");
            ends[index].push(fs::create(&name).map_err(named)?);
            ends[index + 1].push(Handle::open(&name).map_err(named)?);
        }
        let names: Vec<_> = (0..last).map(pipe).collect();
        for (index, words) in pipeline.commands.iter().enumerate() {
            let mut command = commands::program(words)?;
            if index > 0 {
                command.env(INPUT, &names[index - 1]);
            } else if let Some(name) = &pipeline.input {
                command.env(INPUT, name);
            }
            if index < last {
                command.env(OUTPUT, &names[index]);
            } else if let Some(name) = &pipeline.output {
                command.env(OUTPUT, name);
                if pipeline.append {
                    command.env(APPEND, "1");
                }
            }
            self.spawn(
                &command,
                words,
                core::mem::take(&mut ends[index]),
                pipeline.background,
            )?;
        }
        Ok(())
    }

    fn spawn(
        &mut self,
        command: &Command,
        words: &[String],
        ends: Vec<Handle>,
        background: bool,
    ) -> Result<(), String> {
        let child = command.spawn().map_err(|error| match error {
            Status::NoProgram => format!("{}: no such command (try `help`)", words[0]),
            error => format!("{}: {error}", words[0]),
        })?;
        self.input.started(child, background);
        self.running.push(Program {
            child,
            name: words[0].clone(),
            ends,
            background,
        });
        Ok(())
    }

    /// Waits until no program runs that is not in the background. Says whether `last` succeeded.
    fn wait_for(&mut self, last: Option<Child>) -> bool {
        let mut good = true;
        while self.running.iter().any(|program| !program.background) {
            let Some((child, ended)) = self.input.next_end() else {
                return false;
            };
            let success = self.ended(child, ended);
            if Some(child) == last {
                good = success;
            }
        }
        good
    }

    /// A program has ended: says so if the person should know. Says whether it succeeded.
    pub fn ended(&mut self, child: Child, ended: Ended) -> bool {
        let index = self
            .running
            .iter()
            .position(|program| program.child == child);
        let Some(program) = index.map(|index| self.running.remove(index)) else {
            return false;
        };
        let how = match ended {
            Ended::Exit(0) if program.background => "ended".into(),
            Ended::Exit(0) => String::new(),
            Ended::Exit(status) => format!("exit status {status}"),
            Ended::Panic => "panicked (`dmesg` says why)".into(),
            Ended::Fault(vector, address, rip) => {
                format!("fault {vector} at {address:#x}, RIP {rip:#x}")
            }
            Ended::Killed if input::is_interrupted() => String::new(),
            Ended::Killed => "killed".into(),
        };
        // A command of the shell has said itself what went wrong.
        let said = ended == Ended::Exit(1) && commands::find(&program.name).is_some();
        if !how.is_empty() && (program.background || !said) {
            match program.background {
                true => eprintln!("[{}] {}: {how}", child.id(), program.name),
                false => eprintln!("{}: {how}", program.name),
            }
        }
        drop(program.ends);
        ended == Ended::Exit(0)
    }

    /// Ends what runs in the background.
    pub fn end_background(&self) {
        for program in self.running.iter().filter(|program| program.background) {
            // It may just have ended.
            let _ = program.child.end();
        }
    }

    /// `wait`: for all that runs in the background.
    pub fn wait(&mut self) -> Result<(), String> {
        let mut good = true;
        while !self.running.is_empty() {
            match self.input.wait() {
                Some((child, ended)) => good &= self.ended(child, ended),
                None => return Err("interrupted".into()),
            }
        }
        match good {
            true => Ok(()),
            false => Err("not all of them succeeded".into()),
        }
    }

    /// `run`: the lines of a file, up to the first that fails.
    pub fn script(&mut self, name: &str) -> Result<(), String> {
        if self.depth == DEEPEST {
            return Err("scripts run each other without end".into());
        }
        let text = files::text(name)?;
        self.depth += 1;
        let failed = text.lines().find(|line| !self.run(line));
        self.depth -= 1;
        match failed {
            None => Ok(()),
            Some(line) => Err(format!("{name}: stopped at `{line}`")),
        }
    }
}

//! Whether the whole herd is in sync: repeated censuses, until the herd is in sync or the time is over.
//!
//! In a herd with constant updates, two tables are never equal at the same moment. So the censuses compare the buckets of
//! clients separately. A bucket that is equal everywhere in one round is in sync; one that differs in every round is out of
//! sync. Full tables are compared only above the highest floor of all nodes, which the first round finds.

mod ask;

pub(crate) use ask::herd_answer;

use super::json::Json;
use crate::proto::census::{LinkTrouble, Sum, Trouble};
use crate::proto::default_node::BoardNode;
use crate::proto::facts::Facts;
use crate::proto::names::{Names, NodeId};
use crate::proto::update::Update;

/// The pause between two rounds, in milliseconds.
pub const ROUND_EVERY_MS: u64 = 250;
/// The minimum duration of a round in which a node does not answer, in milliseconds.
pub const ROUND_MS_MIN: u64 = 1_000;
/// How often to check whether a round is complete, in milliseconds.
pub const LOOK_EVERY_MS: u64 = 10;
/// The time limit of all rounds together, in milliseconds.
pub const INQUIRY_MS_MAX: u64 = 10_000;

/// The rounds so far.
#[derive(Debug)]
pub struct Inquiry {
    /// The buckets that were equal everywhere in some round, one bit each.
    agreed: u64,
    /// The floor of the next round's comparison.
    pub(super) floor: Option<Update>,
    /// The salt of all rounds: their buckets contain the same clients.
    pub(super) salt: u64,
    /// Whether the nodes also send their facts.
    pub(super) facts: bool,
    last: Option<Sum>,
}

impl Inquiry {
    /// Before the first round.
    #[must_use]
    pub fn new(salt: u64, facts: bool) -> Self {
        Inquiry { agreed: 0, floor: None, salt, facts, last: None }
    }

    /// Takes the result of a round.
    pub fn take(&mut self, sum: Sum) {
        self.agreed |= !sum.differs;
        if sum.floor.is_some() {
            self.floor.clone_from(&sum.floor);
        }
        self.last = Some(sum);
    }

    /// Whether all nodes of the configuration answer, have no link trouble, and have equal tables.
    #[must_use]
    pub fn is_in_sync(&self, nodes: usize) -> bool {
        let is_well =
            |sum: &Sum| sum.answered.len() == nodes && sum.troubled.is_empty() && sum.strangers == 0;
        self.agreed == u64::MAX && self.last.as_ref().is_some_and(is_well)
    }

    /// The outcome; the first words of both forms are whether the herd is in sync.
    pub(super) fn outcome(&self, node: &BoardNode, file: &str) -> Outcome {
        let (names, me) = (node.names(), node.me());
        let none = Sum::NONE;
        let last = self.last.as_ref().unwrap_or(&none);
        let all = || (0..names.len()).filter_map(|index| names.id(index));
        let word = |node: NodeId| String::from_utf8_lossy(names.name(node)).into_owned();
        let of = |has: &dyn Fn(usize) -> bool| -> Vec<String> {
            all().filter(|node| has(node.index())).map(word).collect()
        };
        Outcome {
            is_in_sync: self.is_in_sync(names.len()),
            asked: String::from_utf8_lossy(names.name(me)).into_owned(),
            file: file.to_owned(),
            nodes: names.len(),
            facts: all()
                .map(|id| (word(id), last.answered.has(id.index()).then(|| *node.facts(id))))
                .collect(),
            silent: of(&|index| !last.answered.has(index)),
            troubled: of(&|index| last.troubled.has(index)),
            links: last.links.iter().filter_map(|link| LinkWords::of(*link, names)).collect(),
            links_left_out: last.links_left_out,
            other_map: last.strangers,
            differing_parts: (!self.agreed).count_ones(),
            pending: last.pending,
        }
    }
}

/// The outcome of an [`Inquiry`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) is_in_sync: bool,
    /// The node that was asked.
    pub(super) asked: String,
    /// Its configuration file: a machine can run nodes of two herds.
    pub(super) file: String,
    pub(super) nodes: usize,
    /// All nodes, and the facts of each that answered. They are valid if the inquiry asks for facts.
    pub(super) facts: Vec<(String, Option<Facts>)>,
    pub(super) silent: Vec<String>,
    pub(super) troubled: Vec<String>,
    pub(super) links: Vec<LinkWords>,
    pub(super) links_left_out: u32,
    pub(super) other_map: u32,
    pub(super) differing_parts: u32,
    pub(super) pending: u32,
}

/// A link in trouble, as one of its ends reports it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LinkWords {
    pub(super) node: String,
    pub(super) neighbour: String,
    pub(super) trouble: Trouble,
}

impl LinkWords {
    /// `None` for a node that is not in the configuration.
    fn of(link: LinkTrouble, names: &Names) -> Option<Self> {
        let word =
            |node: NodeId| Some(String::from_utf8_lossy(names.name(names.id(node.index())?)).into_owned());
        Some(LinkWords { node: word(link.node)?, neighbour: word(link.neighbour)?, trouble: link.trouble })
    }

    fn joins(&self, other: &LinkWords) -> bool {
        self.node == other.neighbour && self.neighbour == other.node && self.trouble == other.trouble
    }

    fn words(&self) -> String {
        let LinkWords { node, neighbour, trouble } = self;
        // Both ends report it; the order of the names does not depend on which comes first.
        let (a, b) = if node < neighbour { (node, neighbour) } else { (neighbour, node) };
        match trouble {
            Trouble::Down => format!("the link {a}-{b} is down"),
            Trouble::Pending => {
                format!("the link {a}-{b} is up, but its tables are not compared yet")
            }
            Trouble::NameInUse => format!("two boards use the name {neighbour}, reports {node}"),
        }
    }

    fn json(&self, json: &mut Json) {
        json.open("", '{');
        json.text("node", &self.node);
        json.text("neighbour", &self.neighbour);
        json.text(
            "state",
            match self.trouble {
                Trouble::Down => "down",
                Trouble::Pending => "pending",
                Trouble::NameInUse => "name_in_use",
            },
        );
        json.close('}');
    }
}

/// Lines about links in the text form. A partitioned herd has many; the JSON form has all reported ones.
const LINK_LINES_MAX: usize = 8;

impl Outcome {
    /// One line for each link, though both its ends report it.
    fn link_lines(&self) -> Vec<String> {
        let links = self.links.iter().enumerate();
        let once = links.filter(|(i, link)| !self.links[..*i].iter().any(|other| other.joins(link)));
        let mut lines: Vec<String> = once.map(|(_, link)| link.words()).collect();
        let more = lines.len().saturating_sub(LINK_LINES_MAX);
        lines.truncate(LINK_LINES_MAX);
        if more > 0 || self.links_left_out > 0 {
            lines.push(format!("further links in trouble, at {}", self.troubled.join(", ")));
        }
        lines
    }

    pub(super) fn text(&self) -> String {
        let Outcome { nodes, silent, other_map, differing_parts, .. } = self;
        let answered = nodes - silent.len();
        if self.is_in_sync {
            let Outcome { asked, file, .. } = self;
            return format!(
                "in sync: {answered} of {nodes} nodes answer, and all hold the same\n  asked {asked}, of {file}\n"
            );
        }
        let mut text = format!("out of sync: {answered} of {nodes} nodes answer\n");
        let mut say = |words: String| text = format!("{text}  {words}\n");
        if !silent.is_empty() {
            say(format!("no answer from {}", silent.join(", ")));
        }
        self.link_lines().into_iter().for_each(&mut say);
        if *other_map > 0 {
            let nodes = if *other_map == 1 { "node has" } else { "nodes have" };
            say(format!("{other_map} {nodes} another configuration: give all nodes the same"));
        }
        if *differing_parts > 0 {
            say(format!("tables differ in {differing_parts} of 64 buckets"));
        }
        say(format!("asked {}, of {}", self.asked, self.file));
        text
    }

    pub(super) fn json(&self) -> String {
        let mut json = Json::default();
        json.flag("in_sync", self.is_in_sync);
        json.text("asked", &self.asked);
        json.text("file", &self.file);
        json.number("nodes", Some(self.nodes));
        json.texts("silent", &self.silent);
        json.texts("troubled", &self.troubled);
        json.open("links", '[');
        self.links.iter().for_each(|link| link.json(&mut json));
        json.close(']');
        json.number("links_left_out", Some(self.links_left_out));
        json.number("other_map", Some(self.other_map));
        json.number("differing_parts", Some(self.differing_parts));
        json.number("pending", Some(self.pending));
        json.finish()
    }

    /// One element for each node of the configuration.
    pub(super) fn nodes_json(&self) -> String {
        let mut json = Json::default();
        json.text("asked", &self.asked);
        json.text("file", &self.file);
        json.number("other_map", Some(self.other_map));
        json.open("nodes", '[');
        for (node, facts) in &self.facts {
            json.open("", '{');
            json.text("node", node);
            json.flag("answers", facts.is_some());
            if let Some(facts) = facts {
                json.text("version", facts.version.text());
                json.number("up_s", Some(facts.up_s));
                json.flag("is_in_sync", !self.troubled.contains(node));
                json.number("clients", Some(facts.clients));
                json.number("pending", Some(facts.pending));
                json.number("private_kb", Some(facts.private_kb).filter(|kb| *kb > 0));
            }
            json.close('}');
        }
        json.close(']');
        json.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::facts::Version;

    fn outcome() -> Outcome {
        Outcome {
            is_in_sync: true,
            asked: "Hill".to_owned(),
            file: "herd.json".to_owned(),
            nodes: 3,
            facts: vec![],
            silent: vec![],
            troubled: vec![],
            links: vec![],
            links_left_out: 0,
            other_map: 0,
            differing_parts: 0,
            pending: 0,
        }
    }

    #[test]
    fn faults_are_reported_by_name() {
        assert_eq!(
            outcome().text(),
            "in sync: 3 of 3 nodes answer, and all hold the same\n  asked Hill, of herd.json\n"
        );
        let link = |node: &str, neighbour: &str, trouble| LinkWords {
            node: node.to_owned(),
            neighbour: neighbour.to_owned(),
            trouble,
        };
        let wrong = Outcome {
            is_in_sync: false,
            silent: vec!["Smith".to_owned()],
            troubled: vec!["Hill".to_owned(), "Jaquez".to_owned()],
            links: vec![
                link("Hill", "Smith", Trouble::Down),
                link("Hill", "Jaquez", Trouble::Pending),
                link("Jaquez", "Hill", Trouble::Pending),
                link("Jaquez", "Singleton", Trouble::NameInUse),
            ],
            other_map: 1,
            differing_parts: 2,
            ..outcome()
        };
        assert_eq!(
            wrong.text(),
            "out of sync: 2 of 3 nodes answer\n  no answer from Smith\n  the link Hill-Smith is down\n  \
             the link Hill-Jaquez is up, but its tables are not compared yet\n  \
             two boards use the name Singleton, reports Jaquez\n  \
             1 node has another configuration: give all nodes the same\n  tables differ in 2 of 64 buckets\n  asked Hill, of herd.json\n"
        );
        let few = Outcome { links: vec![link("Hill", "Smith", Trouble::Down)], links_left_out: 7, ..wrong };
        assert_eq!(
            few.json(),
            "{\"in_sync\":false,\"asked\":\"Hill\",\"file\":\"herd.json\",\"nodes\":3,\"silent\":[\"Smith\"],\"troubled\":[\"Hill\",\"Jaquez\"],\
             \"links\":[{\"node\":\"Hill\",\"neighbour\":\"Smith\",\"state\":\"down\"}],\"links_left_out\":7,\
             \"other_map\":1,\"differing_parts\":2,\"pending\":0}\n"
        );
        assert!(few.text().contains("  further links in trouble, at Hill, Jaquez\n"));
    }

    #[test]
    fn a_silent_node_is_listed_too() {
        let facts = Facts { version: Version::of("0.1.0"), up_s: 60, clients: 2, pending: 1, private_kb: 0 };
        let facts = vec![("Hill".to_owned(), Some(facts)), ("Smith".to_owned(), None)];
        let outcome = Outcome { facts, ..outcome() };
        assert_eq!(
            outcome.nodes_json(),
            "{\"asked\":\"Hill\",\"file\":\"herd.json\",\"other_map\":0,\"nodes\":[{\"node\":\"Hill\",\"answers\":true,\
             \"version\":\"0.1.0\",\"up_s\":60,\"is_in_sync\":true,\"clients\":2,\"pending\":1,\"private_kb\":null},\
             {\"node\":\"Smith\",\"answers\":false}]}\n"
        );
    }

    #[test]
    fn a_part_that_agreed_once_is_in_sync_and_one_that_never_did_is_not() {
        let mut inquiry = Inquiry::new(1, false);
        assert!(!inquiry.is_in_sync(0), "no round has run");
        for differs in [1, 2, 1 << 63] {
            inquiry.take(Sum { differs, ..Sum::NONE });
        }
        assert!(inquiry.is_in_sync(0));
        let mut inquiry = Inquiry::new(1, false);
        for differs in [5, 4, 6] {
            inquiry.take(Sum { differs, ..Sum::NONE });
        }
        assert_eq!((inquiry.is_in_sync(0), (!inquiry.agreed).count_ones()), (false, 1));
    }
}

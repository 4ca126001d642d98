//! The table of commands and flags. Parsing, help and the suggestions of usage errors come from it.
//!
//! It is plain data. To add a flag, add it here and read it in `parse.rs`; help and errors follow.

use super::entry::{ENTRY, Entry, Flag, HAS_IMPORT, HAS_TOOLS, HAS_UP, flag, only_if, switch};

/// What the program is, for `herd --help`.
pub(in crate::cli) const ABOUT: &str = "an application server herd for small boards: nodes flood client positions to each \
other and answer queries for nearby places";

/// Notes on all commands, for `herd --help`.
pub(in crate::cli) const NOTES: &[&str] = &[
    "Without --config, herd uses the built-in configuration: Hill, Jaquez, Smith, Singleton and Campbell on this machine. \
     They listen for clients on ports 8001 to 8005.",
    "Exit status: 0 success, 1 failure, 2 wrong usage; 3 from herd send if the node did not take a line.",
];

/// The levels of `--log-level`; the first logs the least.
pub(in crate::cli) const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug"];

const CONFIG: Flag = Flag {
    name: "config",
    value: Some("FILE"),
    is_required: false,
    short: "the configuration file; default: the built-in configuration",
    long: "A JSON file that lists the nodes and their edges. Paths in it are relative to its folder.",
};

const LOG_LEVEL: Flag = Flag {
    name: "log-level",
    value: Some("LEVEL"),
    is_required: false,
    short: "the log level: error, warn, info or debug; default info",
    long: "Level info logs the start, and each link that comes up or goes down. Level debug also logs each line received or sent.",
};

const LOG_FORMAT: Flag = Flag {
    name: "log-format",
    value: Some("FORMAT"),
    is_required: false,
    short: "the log format: auto, journal, text or json; default auto",
    long: "Format auto writes the time in UTC, the level and the message; on a terminal, warnings and errors in colour; for systemd's journal, a \
           priority instead of the time. Format json writes one object per line, with time, level, node and message, and about a client also client and id.",
};

const NODE: Flag = flag("node", "NAME", "ask this node; default: any node of this machine");

const NO_LISTS: &str =
    "this build cannot list clients or nodes (build herd with the feature \"tools\", or use: herd status)";

const fn json(short: &'static str) -> Flag {
    switch("json", short)
}

/// A required file.
const fn input(name: &'static str, short: &'static str) -> Flag {
    Flag { is_required: true, ..flag(name, "FILE", short) }
}

/// The commands, in the order of help.
pub(in crate::cli) const COMMANDS: &[Entry] = &[
    only_if(
        HAS_UP,
        "up: this build runs only single nodes (use herd serve, or a build with the feature \"up\", as a PC's build has it)",
        Entry {
            words: &["up"],
            operands: "",
            operand_counts: (0, 0),
            short: "runs all nodes of the configuration on this machine; Ctrl-C stops them",
            long: &[
                "Each node runs in its own process. herd up restarts a node that exits: after 0.5 s at first, after 10 s at \
             most. If a node cannot start, for example because its port is in use, herd up stops all nodes.",
                "If the configuration has no key_file, herd up generates a key for this run. When herd up exits or is killed, \
             all its nodes stop.",
            ],
            flags: &[
                CONFIG,
                flag("log-dir", "DIR", "write one log file per node, not to the terminal").explained("herd up creates the folder if needed and appends to DIR/NAME.log. It never removes old lines."),
                LOG_LEVEL,
            ],
            examples: &["herd up", "herd up --config herd.json --log-dir logs --log-level debug"],
            ..ENTRY
        },
    ),
    Entry {
        words: &["serve"],
        operands: "NAME",
        operand_counts: (1, 1),
        short: "runs one node of the configuration",
        long: &[
            "A board runs this command, usually under systemd. The node stops cleanly on SIGTERM and SIGINT. On SIGHUP it \
             reloads its configuration; links that are in both configurations stay up.",
        ],
        flags: &[
            CONFIG,
            LOG_LEVEL,
            LOG_FORMAT,
            switch("supervised", "read the herd's key from standard input; stop when it closes").explained("herd up uses this flag. The first line holds the key as 64 hex digits, optionally followed by a \
                       space and the previous key. The node stops at the end of its input."),
        ],
        examples: &["herd serve Hill", "herd serve pi-kitchen --config /etc/herd/herd.json"],
        ..ENTRY
    },
    only_if(
        HAS_TOOLS,
        "init: this build only runs a node (run herd init with a build that has the feature \"tools\")",
        Entry {
            words: &["init"],
            operands: "[NAME=HOST...]",
            operand_counts: (0, usize::MAX),
            short: "writes the configuration and the keys of a new herd",
            long: &[
                "herd init writes herd.json, the herd's key, and private/NAME, the private key of each node. None of these files may be \
             there yet. It prints how to go on. HOST is the address or the host \
             name of a board. Without operands it asks for the nodes. Neighbours form a ring, and from four nodes on also chords, so that no loss of one node cuts off another.",
                "Ports: 8001 for clients, 9001 for links, 8011 for the page; further nodes at the same address have the next ones. Only \
             loopback addresses: the herd runs on this machine with herd up. Nodes look up a host name each time they dial, so \
             the address of a board may change.",
            ],
            flags: &[flag("out", "FOLDER", "the folder of the files; default: the current one")],
            examples: &[
                "herd init Hill=192.168.1.11 Smith=192.168.1.12 --out ~/my-herd",
                "herd init Hill=hill.local Smith=smith.local --out ~/my-herd",
                "herd init Hill=127.0.0.1 Smith=127.0.0.1 --out trial",
            ],
            ..ENTRY
        },
    ),
    only_if(
        HAS_TOOLS,
        "key: this build only runs a node (run herd key with a build that has the feature \"tools\")",
        Entry {
            words: &["key"],
            operands: "NAME",
            operand_counts: (1, 1),
            short: "makes the key pair of a node",
            long: &[
                "With public keys in herd.json, nodes encrypt all that they send to each other, and each authenticates with a key of its \
             own. herd key writes the private key to private/NAME and prints the public key. If the file is there already, \
             it prints the public key of that one.",
                "The private key belongs beside herd.json on the node's own board, readable for its user alone; the package's units \
             take it from /etc/herd/private/NAME. herd init makes the keys of a new herd.",
                "To revoke a node, remove its public key or replace it, and reload the other nodes. To change the key of a node that \
             runs, list both keys, the new one first, until all nodes know it.",
            ],
            flags: &[flag("out", "FOLDER", "the folder of herd.json; default: the current one")],
            examples: &["herd key Hill", "sudo herd key Hill --out /etc/herd"],
            ..ENTRY
        },
    ),
    Entry {
        words: &["send"],
        operands: "[LINE...]",
        operand_counts: (0, usize::MAX),
        short: "sends lines to a node as a client and prints the answers",
        long: &[
            "herd send sends each LINE unchanged, followed by a line feed. Without a LINE it sends standard input. It prints \
             answers as they arrive and exits when the node has answered all lines. On a terminal it asks for the lines.",
            "Exit status: 0 if the node took every line, 3 if it answered one with \"?\", whose reason is on standard error, and 1 \
             if a line has no answer or half of one. A node of this machine is asked afterwards whether it stored the updates; one \
             that is older than what the herd knows is named on standard error.",
            "After --, every argument is a LINE, even if it begins with a dash.",
        ],
        flags: &[
            flag("to", "NAME|HOST", "the node: its name in the configuration, or a host or address").explained("Default: 127.0.0.1:8001, or the first node in the file of --config. A host or address without a port has \
                       port 8001: hill.local, 192.168.1.11, [fd00::5]:8002."),
            flag("timeout", "SECONDS", "how long to wait for an answer; default 10").explained("Also how long to wait for the connection. A query for places takes a node at most 8 seconds by default."),
            CONFIG,
        ],
        examples: &[
            "herd send \"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 $(date +%s)\"",
            "herd send --to Campbell \"WHATSAT kiwi.cs.ucla.edu 10 5\"",
        ],
        ..ENTRY
    },
    Entry {
        words: &["status"],
        operands: "[NAME]",
        operand_counts: (0, 1),
        short: "prints the status of the nodes on this machine; with --all, whether the herd is in sync",
        long: &[
            "Without a NAME, herd status asks all nodes on this machine. Per-node status is served on a Unix socket that only \
             the node's user and root can open. A NAME with a slash is the path of such a socket.",
            "A link is in sync if both ends had equal digests at their last comparison and no update is pending since.",
            "With --all, one node of this machine asks the whole herd. Exit status 0: every node of the configuration answers, \
             all links are up, and all tables are equal. Otherwise herd status prints the reasons and exits with 1, \
             after 10 s at most.",
        ],
        flags: &[
            switch("all", "is the whole herd in sync? Also sets the exit status"),
            switch("verbose", "show all counters, routine ones and zeros included; -v for short"),
            json("print one JSON object per node, one per line; it has all counters"),
        ],
        examples: &["herd status", "herd status -v Hill", "herd status --all", "sudo herd status kitchen"],
        ..ENTRY
    },
    only_if(
        HAS_TOOLS,
        NO_LISTS,
        Entry {
            words: &["nodes"],
            operands: "[NAME...]",
            operand_counts: (0, usize::MAX),
            short: "prints one table of all nodes of the herd",
            long: &[
                "One node of this machine asks the whole herd. A row has a node's version, the time since its start, whether all its \
             links are in sync, the clients in its table, the updates pending on its links, and its private memory. A node that \
             does not answer has a row that says so.",
                "Whether all tables are equal, and the reasons if a node is not in sync: herd status --all.",
            ],
            flags: &[NODE, json("print one JSON object")],
            examples: &["herd nodes", "herd nodes Hill Smith --json"],
            ..ENTRY
        },
    ),
    only_if(
        HAS_TOOLS,
        NO_LISTS,
        Entry {
            words: &["clients"],
            operands: "[ID]",
            operand_counts: (0, 1),
            short: "prints the clients that a node of this machine knows",
            long: &[
                "Every node of a herd in sync knows the same clients. One client a line: id, position, when its last update was \
             made, and the node that received it. Exit status 1: the node does not know this ID.",
            ],
            flags: &[
                flag("near", "LAT,LON,KM", "only clients within this circle"),
                NODE,
                json("print a JSON array, as the page's /clients"),
            ],
            examples: &[
                "herd clients",
                "herd clients ann.phone",
                "herd clients --near 34.07,-118.45,10 --json",
            ],
            ..ENTRY
        },
    ),
    Entry {
        words: &["check"],
        operands: "[FILE]",
        operand_counts: (0, 1),
        short: "reports all mistakes in a configuration before it is deployed",
        long: &[
            "herd check prints one line per mistake: file, line, member, what is wrong, what to do. Run it on the board that \
             uses the configuration: herd check also opens the files that the configuration names, and reads the places file \
             to its end.",
        ],
        flags: &[
            CONFIG,
            flag("node", "NAME", "the node that is to run here: check that this machine has its addresses and finds its names"),
        ],
        examples: &["herd check herd.json", "herd check /etc/herd/herd.json --node Hill"],
        ..ENTRY
    },
    Entry {
        words: &["token"],
        operands: "",
        operand_counts: (0, 0),
        short: "prints the token that opens the nodes' pages, or that of a name's phones",
        long: &[
            "Positions are personal data. A browser on another machine needs this token to open a node's page, /clients and \
             /events: enter it as the password, with any user name. The token is the same for all nodes of a herd. It \
             is derived from the herd's key and changes with it. Run this command as a user that can read the key, \
             such as root on a board.",
            "With --phone it prints the token with which the clients NAME and NAME.ANYTHING report to the listener phones; that of \
             * is for gateways and reports for every client. With --url it also prints links and addresses that set up OwnTracks, \
             Traccar Client, Overland, OsmAnd and GPSLogger. The member phone_tokens gives a name another token.",
        ],
        flags: &[
            CONFIG,
            flag("phone", "NAME", "the token of this name's phones"),
            flag("url", "URL", "where phones reach the listener phones of a node: https://hill.example:5055"),
            flag("qr", "APP", "also a QR code for this app: owntracks, traccar, overland, osmand or gpslogger"),
        ],
        examples: &[
            "sudo herd token --config /etc/herd/herd.json",
            "herd token --phone ann --url http://192.168.1.11:5055 --qr owntracks",
        ],
        ..ENTRY
    },
    Entry {
        words: &["places", "near"],
        operands: "LAT LON KM [N]",
        operand_counts: (3, 4),
        short: "prints the places near a position, from a places file",
        long: &[
            "LAT and LON are decimal degrees. KM is the radius in kilometres, at most 50. N is the number of places, at most \
             20; default 20. The output equals the answer to WHATSAT.",
        ],
        flags: &[flag("file", "FILE", "the places file; default: the file that a node finds").explained("A node looks in the program's folder, in data/ of its build tree, in ./data/ and in /usr/share/herd.")],
        examples: &["herd places near 34.068930 -118.445127 10 5"],
        ..ENTRY
    },
    only_if(
        HAS_IMPORT,
        "places import: this build cannot make places files (make the file on a PC, with the feature \"import\", and copy it here)",
        Entry {
            words: &["places", "import"],
            operands: "FILE...",
            operand_counts: (1, usize::MAX),
            short: "makes a places file from GeoNames dumps, CSV, GeoJSON or OpenStreetMap's PBF",
            long: &[
                "Reads GeoNames dumps (.txt), CSV with a header (.csv, .tsv), GeoJSON (.geojson, .json, .geojsonl, .geojsonseq, \
             .ndjson) that osmium export writes, and extracts of OpenStreetMap (.osm.pbf). Places with the same position, \
             type and name, and rows with the same id, are one place. The base is read first, then each FILE in order; the \
             last entry wins. Rows with the same OpenStreetMap id (n42 and node/42 are the same) are one place if they have \
             the same name or are within 1 km.",
                "From GeoJSON and PBF the import takes points with a name, and areas with a name and a known type (the middle of \
             their outline). It skips and counts the others, countries, and divisions of countries. It cuts a name of more \
             than 255 bytes.",
                "On a bad row, or a FILE that gives no place, the import reports the file, stops, and leaves the output file \
             unchanged. A new output file has the mode and the owner of the old one.",
                "A TYPE, or a value in a column of types, is one of: locality, airport, point_of_interest, natural_feature, \
             park, restaurant, cafe, bar, lodging, store, supermarket, pharmacy, hospital, doctor, school, university, \
             library, museum, place_of_worship, bank, atm, post_office, police, fire_station, gas_station, parking, \
             bus_station, train_station, tourist_attraction, stadium, cemetery, local_government_office, campground, \
             movie_theater.",
            ],
            flags: &[
                input("out", "the places file to write; it may be the base"),
                flag("base", "FILE", "a places file whose places are added first").explained("Without it, the new file holds only the imported places."),
                flag("format", "FORMAT", "the format of each FILE: geonames, csv, geojson or pbf; default: by its extension"),
                flag("columns", "ROLE=COLUMN,...", "the names of the CSV columns").explained("The roles are name, lat, lon, type, vicinity and id. Default: columns with these names, or with common \
                       synonyms such as title, latitude, lng, category and address."),
                flag("separator", "CHAR", "the character between the fields of CSV, or comma, semicolon or tab").explained("Default: the one of , ; tab and | that gives the header the most known columns."),
                flag("type", "TYPE", "the type of places without one; default point_of_interest"),
                flag("admin1", "FILE", "GeoNames' admin1CodesASCII.txt, for the vicinity of its places"),
                flag("admin2", "FILE", "GeoNames' admin2Codes.txt, for the vicinity of its places"),
                switch("skip-bad", "skip bad rows and report their number").explained("The import reports each of the first 20."),
            ],
            examples: &[
                "herd places import --base data/places.dat --out own.dat cafes.csv",
                "herd places import --out own.dat --admin1 admin1CodesASCII.txt US.txt",
            ],
            ..ENTRY
        },
    ),
];

#!/usr/bin/env python3
"""A CMMS in one file: makes work orders of the work requests of an andon gateway, answers with their state, and books downtimes.

    pip install paho-mqtt
    ./cmms.py --broker 127.0.0.1:1883 --root andon/v1/acme/leipzig/hall-3 --gateway gw-hall-3 --db cmms.db
    ./cmms.py --db cmms.db --orders                        the work orders, as JSON
    ./cmms.py --db cmms.db --cells                         downtime per machine, shift, order and reason, as JSON
    ./cmms.py --db cmms.db --close WO-1 --cause "worn seal" --mechanism wear --remedy "seal replaced"

The gateway's configuration names it:  [[consumer]] id = "cmms", kinds = ["work-request", "downtime"], may = ["work-order"]
The numbers in the comments are those of docs/consumers.md. A real CMMS keeps its own orders: bridge_roundup.py,
which needs this file beside it, is for one.
"""
import argparse
import json
import signal
import sqlite3
import sys
import time
import uuid

import paho.mqtt.client as mqtt

WAIT_S = 10         # what is on its way when a digest arrives gets so long to arrive by itself
REPLAY_S = 30       # a replay of which nothing was heard for so long is asked for again
HEARTBEAT_S = 60    # a receipt at least so often
REPEAT_S = 10       # a command is sent again, the same, until it is answered
LOOK_S = 1          # so often what technicians have entered is looked at

CUSTODY = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS event (source TEXT, id TEXT, epoch INT, topic TEXT, n INT, body TEXT, PRIMARY KEY (source, id));
CREATE UNIQUE INDEX IF NOT EXISTS place ON event (epoch, topic, n);
CREATE TABLE IF NOT EXISTS tail (epoch INT, topic TEXT, n INT, PRIMARY KEY (epoch, topic));
CREATE TABLE IF NOT EXISTS missing (epoch INT, topic TEXT, first INT, last INT, why TEXT);
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, topic TEXT, body TEXT, answer TEXT);
"""
ORDERS = """
CREATE TABLE IF NOT EXISTS work_order (
    number INTEGER PRIMARY KEY AUTOINCREMENT, request TEXT UNIQUE, machine TEXT, line TEXT, asset TEXT,
    revision INT, title TEXT, description TEXT, priority INT, withdrawn INT, status TEXT, told INT, details TEXT);
CREATE TABLE IF NOT EXISTS downtime (id TEXT PRIMARY KEY, revision INT, record TEXT);
"""


class Store:
    """What must survive a crash of this program. Everything of one event is one transaction."""
    tables, kinds = CUSTODY + ORDERS, ("work-request", "downtime")

    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + self.tables)
        with self.db:  # made with the store: a restart is the same instance, a second copy of this program is not
            self.db.execute("INSERT OR IGNORE INTO meta VALUES ('instance', ?)", (str(uuid.uuid4()),))

    def get(self, key, default=None):
        row = self.db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else default

    def put(self, key, value):
        self.db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def take(self, event, body):
        """2: an event, live or replayed, once or again."""
        epoch, topic, n = event["epoch"], key_of(event), int(event["topicsequence"])
        with self.db:
            self.db.execute("INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?)",
                            (event["source"], event["id"], epoch, topic, n, body))
            if topic.endswith("/downtime"):
                self.book_downtime(event["data"])
            else:
                self.book(event["data"])
            self.advance(epoch, topic)

    def book_downtime(self, data):
        """The whole record as it came; of several revisions the highest."""
        self.db.execute("""INSERT INTO downtime VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE
                           SET revision = excluded.revision, record = excluded.record
                           WHERE excluded.revision >= downtime.revision""",
                        (data["downtime_id"], data["revision"], json.dumps(data)))

    def cells(self):
        """What the records say, summed per machine, shift, order and reason."""
        sums = {}
        for (record,) in self.db.execute("SELECT record FROM downtime"):
            data = json.loads(record)
            if data["status"] != "closed":
                continue
            seen = set()
            for share in data["shares"]:
                key = (data["machine"], share["shift"], share["order"], data["reason"] and data["reason"]["code"])
                times, duration_ms = sums.get(key, (0, 0))
                sums[key] = (times + (key not in seen), duration_ms + share["duration_ms"])
                seen.add(key)
        keys = ("machine", "shift", "order", "reason", "times", "duration_ms")
        return [dict(zip(keys, key + sums[key])) for key in sorted(sums, key=str)]

    def totals(self):
        """Per machine and shift: a downtime counts once in each."""
        sums = {}
        for (record,) in self.db.execute("SELECT record FROM downtime"):
            data = json.loads(record)
            for shift in {share["shift"] for share in data["shares"]} if data["status"] == "closed" else ():
                ms = sum(share["duration_ms"] for share in data["shares"] if share["shift"] == shift)
                times, duration_ms = sums.get((data["machine"], shift), (0, 0))
                sums[data["machine"], shift] = (times + 1, duration_ms + ms)
        return sums

    def book(self, data):
        """A request is one work order. The highest revision counts; what a technician has entered stays."""
        held = self.db.execute("SELECT revision FROM work_order WHERE request = ?", (data["request_id"],)).fetchone()
        if held and held[0] > data["revision"]:
            return
        if not held:
            self.db.execute("INSERT INTO work_order (request, machine, line, asset, status, told) VALUES (?, ?, ?, ?, 'accepted', 0)",
                            (data["request_id"], data["machine"], data["line"], data["asset"]))
        withdrawn = data["status"] == "withdrawn"
        self.db.execute("""UPDATE work_order SET revision = ?, title = ?, description = ?, priority = ?, withdrawn = ?
                           WHERE request = ?""",
                        (data["revision"], data["title"], data["description"], data["priority"], withdrawn, data["request_id"]))
        if withdrawn:      # nobody has begun yet: then nobody needs to
            self.db.execute("UPDATE work_order SET status = 'cancelled', told = told + 1 "
                            "WHERE request = ? AND status = 'accepted'", (data["request_id"],))

    def set(self, number, status, details):
        """What a technician enters."""
        with self.db:
            self.db.execute("UPDATE work_order SET status = ?, details = ?, told = told + 1 WHERE number = ?",
                            (status, json.dumps(details), number))

    def orders(self):
        rows = self.db.execute("SELECT number, request, machine, line, asset, title, priority, status, told, details "
                               "FROM work_order ORDER BY number")
        keys = ("number", "request_id", "machine", "line", "asset", "title", "priority", "status", "told", "details")
        return [dict(zip(keys, row)) for row in rows]

    def commands(self, root, by):
        """What the gateway is to be told of: each state of each order once, under an id that is always the same."""
        with self.db:
            for order in self.orders():
                body = {"by": by, "request_id": order["request_id"], "work_order": f"WO-{order['number']}",
                        "status": order["status"], "revision": order["told"] + 1, **json.loads(order["details"] or "{}")}
                command_id = str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(body)))
                body["command_id"] = command_id
                self.db.execute("INSERT OR IGNORE INTO command VALUES (?, ?, ?, NULL)",
                                (command_id, f"{root}/{order['line']}/{order['machine']}/command/work-order", json.dumps(body)))
        return self.db.execute("SELECT id, topic, body FROM command WHERE answer IS NULL ORDER BY rowid").fetchall()

    def answered(self, command_id, answer):
        with self.db:
            self.db.execute("UPDATE command SET answer = ? WHERE id = ?", (answer, command_id))

    def tail(self, epoch, topic):
        row = self.db.execute("SELECT n FROM tail WHERE epoch = ? AND topic = ?", (epoch, topic)).fetchone()
        return row[0] if row else 0

    def advance(self, epoch, topic):
        """2: over everything that is held or noted missing, without a gap."""
        n = start = self.tail(epoch, topic)
        while True:
            if self.db.execute("SELECT 1 FROM event WHERE epoch = ? AND topic = ? AND n = ?",
                               (epoch, topic, n + 1)).fetchone():
                n += 1
                continue
            gap = self.db.execute("SELECT max(last) FROM missing WHERE epoch = ? AND topic = ? AND first <= ? AND last > ?",
                                  (epoch, topic, n + 1, n)).fetchone()[0]
            if gap is None:
                break
            n = gap
        if n > start:
            self.db.execute("INSERT OR REPLACE INTO tail VALUES (?, ?, ?)", (epoch, topic, n))

    def note_missing(self, epoch, ranges):
        """5: what the gateway does not have any more is final."""
        with self.db:
            for r in ranges:
                self.db.execute("INSERT INTO missing VALUES (?, ?, ?, ?, ?)", (epoch, r["topic"], r["from"], r["to"], r["why"]))
                self.advance(epoch, r["topic"])


def key_of(event):
    """The topic's key, whether the event came live or on the replay topic."""
    data, kind = event["data"], event["type"].split(".")[1]
    if data["machine"] is None:
        return f"_gateway/{event['source'].removeprefix('andon:')}/{kind}"
    return f"{data['line']}/{data['machine']}/{kind}"


class Consumer:
    def __init__(self, args, store):
        self.args, self.store = args, store
        self.own = f"{args.root}/_gateway/{args.gateway}"
        self.digest, self.check_at, self.receipt_at = None, None, 0
        self.replay, self.told_at = None, 0      # (command_id, when to give it up)
        self.reported = None                     # the totals of the last receipt that had some
        self.sent = {}                           # when each command that is not answered was sent last
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.consumer, clean_session=False)
        if args.username:
            self.client.username_pw_set(args.username, open(args.password_file).readline().strip() if args.password_file else None)
        self.client.on_connect, self.client.on_message = self.connected, self.heard

    def connected(self, client, _userdata, _flags, reason, _properties):
        if reason.is_failure:
            return say(f"the broker refused: {reason}")
        # Anew on each connection: a broker may have lost the session, and a retained digest comes with a subscription.
        topics = [f"{self.args.root}/+/+/event/{kind}" for kind in self.store.kinds]
        topics += [f"{self.own}/digest", f"{self.own}/replay/{self.args.consumer}", f"{self.args.root}/+/+/reply"]
        client.subscribe([(topic, 1) for topic in topics])
        self.replay = self.reported = None
        self.sent, self.told_at = {}, 0
        say("connected")

    def heard(self, _client, _userdata, message):
        """paho acknowledges when this returns: after the commit, so nothing that was acknowledged is lost."""
        try:
            word = json.loads(message.payload)
        except ValueError:
            return say(f"no JSON on {message.topic}")
        if message.topic == f"{self.own}/digest":
            self.digest, self.check_at = word, time.monotonic() + WAIT_S
            self.confirm()
        elif message.topic.endswith("/reply"):
            self.replied(word["data"])
        elif "specversion" in word:
            if self.replay:
                self.replay = (self.replay[0], time.monotonic() + REPLAY_S)
            self.store.take(word, message.payload.decode())
            self.told_at = 0
        elif self.replay and word.get("command_id") == self.replay[0]:      # 5: the last word of a replay
            say(f"replay: {word['count']} events, missing {word['missing']}" if word["done"] else f"replay: {word['why']}")
            self.store.note_missing(self.digest["epoch"], word["missing"])
            self.replay, self.check_at = None, time.monotonic() + WAIT_S
            self.confirm()

    def replied(self, reply):
        """Accepted, a duplicate, stale or refused: each is an answer, but for one that asks to try again."""
        if reply["verb"] == "work-order" and reply["code"] != "try_again":
            self.store.answered(reply["command_id"], reply["result"])
            self.sent.pop(reply["command_id"], None)
            if reply["result"] in ("refused", "stale"):
                say(f"work order {reply['result']}: {reply['code']}: {reply['text']}")
        if self.replay and reply["command_id"] == self.replay[0] and reply["result"] == "refused":
            say(f"replay refused: {reply['code']}: {reply['text']}")
            self.replay = (self.replay[0], time.monotonic() + WAIT_S)

    def takes(self, topic):
        return topic.rsplit("/", 1)[1] in self.store.kinds

    def lacking(self):
        """4: topics of which something is missing, with the last event that is held."""
        epoch = self.digest["epoch"]
        tails = {topic: self.store.tail(epoch, topic) for topic in self.digest["tails"] if self.takes(topic)}
        return {topic: n for topic, n in tails.items() if n < self.digest["tails"][topic]}

    def check(self):
        lacking = self.lacking()
        if lacking and not self.replay:
            self.ask(lacking)

    def ask(self, after):
        command = {"command_id": str(uuid.uuid4()), "by": self.args.consumer, "consumer": self.args.consumer,
                   "epoch": self.digest["epoch"], "after": after}
        self.replay = (command["command_id"], time.monotonic() + REPLAY_S)
        say(f"lacking after {after}: replay asked for")
        self.client.publish(f"{self.own}/command/replay", json.dumps(command), qos=1)

    def confirm(self):
        """6 and 7: a receipt, with the totals where nothing later is booked. How to mend what differs: mes.py."""
        digest, store = self.digest, self.store
        if digest is None or not self.client.is_connected():
            return
        level = not self.lacking()
        with store.db:
            if level:
                store.put("epoch", digest["epoch"])
                store.put("sequence", digest["last_sequence"])
        receipt = {"consumer": self.args.consumer, "instance": store.get("instance"),
                   "epoch": store.get("epoch", digest["epoch"]), "sequence": store.get("sequence", 0)}
        if "downtime" in store.kinds and level and all(store.tail(digest["epoch"], topic) == n for topic, n in digest["tails"].items() if self.takes(topic)):
            ours = store.totals()
            totals = []
            for machine, shift in ((line["machine"], line["shift"]) for line in digest["totals"]):
                times, duration_ms = ours.get((machine, shift), (0, 0))
                totals.append({"machine": machine, "shift": shift, "times": times, "duration_ms": duration_ms})
            if totals != self.reported:
                receipt["totals"] = self.reported = totals
        self.client.publish(f"{self.own}/receipt/{self.args.consumer}", json.dumps(receipt), qos=1)
        self.receipt_at = time.monotonic()

    def tell(self, now):
        """What is not answered, the same bytes again: the gateway does each once, and goes by the revision, not by what comes last."""
        for command_id, topic, body in self.store.commands(self.args.root, self.args.consumer):
            if now - self.sent.get(command_id, -REPEAT_S) >= REPEAT_S:
                self.sent[command_id] = now
                self.client.publish(topic, body, qos=1)

    def tick(self):
        now = time.monotonic()
        if self.replay and now > self.replay[1]:
            self.replay = None
            self.check_at = self.check_at or now
        if self.check_at and now >= self.check_at and self.client.is_connected():
            self.check_at = None
            self.check()
        if now - self.receipt_at > HEARTBEAT_S:
            self.confirm()
        if now - self.told_at > LOOK_S and self.client.is_connected():
            self.told_at = now
            self.tell(now)

    def run(self):
        host, _, port = self.args.broker.rpartition(":")
        while True:
            try:
                if not self.client.is_connected() and self.client.socket() is None:
                    self.client.connect(host, int(port), keepalive=20)
                if self.client.loop(timeout=0.2) != mqtt.MQTT_ERR_SUCCESS:
                    time.sleep(0.5)
            except OSError:
                time.sleep(0.5)
            self.tick()


def say(text):
    print(time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def options(what):
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("--db", required=True, help="SQLite file, made if it is not there")
    parser.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT")
    parser.add_argument("--root", help="[mqtt] prefix and [gateway] path, as in andon/v1/acme/leipzig/hall-3")
    parser.add_argument("--gateway", help="[gateway] id")
    parser.add_argument("--consumer", default="cmms", help="[[consumer]] id, and the client id")
    parser.add_argument("--username")
    parser.add_argument("--password-file")
    return parser


def main():
    parser = options(__doc__.splitlines()[0])
    parser.add_argument("--orders", action="store_true", help="print the work orders, and end")
    parser.add_argument("--cells", action="store_true", help="print the downtimes that are booked, and end")
    parser.add_argument("--close", metavar="WO-N", help="complete a work order, and end; what runs tells the gateway")
    parser.add_argument("--technician", default="technician")
    parser.add_argument("--cause")
    parser.add_argument("--mechanism")
    parser.add_argument("--remedy")
    args = parser.parse_args()
    if args.orders:
        return print(json.dumps(Store(args.db).orders()))
    if args.cells:
        return print(json.dumps(Store(args.db).cells()))
    if args.close:
        details = {key: getattr(args, key) for key in ("technician", "cause", "mechanism", "remedy") if getattr(args, key)}
        return Store(args.db).set(int(args.close.removeprefix("WO-")), "completed", details)
    if not (args.root and args.gateway):
        parser.error("--root and --gateway are needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Consumer(args, Store(args.db)).run()


if __name__ == "__main__":
    main()

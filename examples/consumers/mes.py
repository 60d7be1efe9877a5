#!/usr/bin/env python3
"""An MES in one file: books the downtimes of an andon gateway, can prove that it has them all, and says what they were.

    pip install paho-mqtt
    ./mes.py --broker 127.0.0.1:1883 --root andon/v1/acme/leipzig/hall-3 --gateway gw-hall-3 --db mes.db
    ./mes.py --db mes.db --totals          what is booked per machine and shift, as JSON; --cells: per order and reason too
    ./mes.py --db mes.db --send line-2/press-7/command/reason '{"downtime_id": "0199…", "code": "mech.jam"}'

The gateway's configuration names it:  [[consumer]] id = "mes", kinds = ["downtime"], may = ["order", "reason"]
The numbers in the comments are those of docs/consumers.md. To take other kinds of events, change KINDS and book().
"""
import argparse
import json
import signal
import sqlite3
import sys
import time
import uuid

import paho.mqtt.client as mqtt

KINDS = ("downtime",)
WAIT_S = 10         # what is on its way when a digest arrives gets so long to arrive by itself
REPLAY_S = 30       # a replay of which nothing was heard for so long is asked for again
HEARTBEAT_S = 60    # a receipt at least so often
REPEAT_S = 10       # a command is sent again, the same, until it is answered

TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value);
CREATE TABLE IF NOT EXISTS event (source TEXT, id TEXT, epoch INT, topic TEXT, n INT, body TEXT, PRIMARY KEY (source, id));
CREATE UNIQUE INDEX IF NOT EXISTS place ON event (epoch, topic, n);
CREATE TABLE IF NOT EXISTS tail (epoch INT, topic TEXT, n INT, PRIMARY KEY (epoch, topic));
CREATE TABLE IF NOT EXISTS missing (epoch INT, topic TEXT, first INT, last INT, why TEXT);
CREATE TABLE IF NOT EXISTS downtime (id TEXT PRIMARY KEY, machine TEXT, number TEXT, revision INT, status TEXT, reason TEXT);
CREATE TABLE IF NOT EXISTS share (id TEXT, machine TEXT, shift TEXT, job TEXT, duration_ms INT);
CREATE INDEX IF NOT EXISTS shares ON share (id);
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, topic TEXT, subject TEXT, body TEXT, answer TEXT);
"""


class Store:
    """What must survive a crash of this program. Everything of one event is one transaction."""

    def __init__(self, path):
        self.db = sqlite3.connect(path)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + TABLES)
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
            self.book(event["data"])
            self.advance(epoch, topic)

    def book(self, data):
        """The highest revision of a subject counts. The same one books the same again: that mends a wrong booking."""
        held = self.db.execute("SELECT revision FROM downtime WHERE id = ?", (data["downtime_id"],)).fetchone()
        if held and held[0] > data["revision"]:
            return
        reason = data["reason"] and data["reason"]["code"]
        self.db.execute("INSERT OR REPLACE INTO downtime VALUES (?, ?, ?, ?, ?, ?)",
                        (data["downtime_id"], data["machine"], data["number"], data["revision"], data["status"], reason))
        self.db.execute("DELETE FROM share WHERE id = ?", (data["downtime_id"],))
        self.db.executemany("INSERT INTO share VALUES (?, ?, ?, ?, ?)",
                            [(data["downtime_id"], data["machine"], s["shift"], s["order"], s["duration_ms"])
                             for s in data["shares"]])

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

    def totals(self):
        rows = self.db.execute("""SELECT s.machine, s.shift, COUNT(DISTINCT s.id), SUM(s.duration_ms)
                                  FROM share s JOIN downtime d USING (id)
                                  WHERE d.status = 'closed' GROUP BY 1, 2 ORDER BY 1, 2""")
        return [dict(zip(("machine", "shift", "times", "duration_ms"), row)) for row in rows]

    def cells(self):
        rows = self.db.execute("""SELECT s.machine, s.shift, s.job, d.reason, COUNT(DISTINCT s.id), SUM(s.duration_ms)
                                  FROM share s JOIN downtime d USING (id)
                                  WHERE d.status = 'closed' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""")
        return [dict(zip(("machine", "shift", "order", "reason", "times", "duration_ms"), row)) for row in rows]

    def enter(self, by, topic, keys):
        """A command that is to be sent: what runs sends it, under an id that stays the same."""
        body = {"command_id": str(uuid.uuid4()), "by": by, **keys}
        subject = f"{topic} {keys.get('order') or keys.get('downtime_id')}"
        with self.db:
            self.db.execute("INSERT INTO command VALUES (?, ?, ?, ?, NULL)",
                            (body["command_id"], topic, subject, json.dumps(body)))

    def due(self):
        """Of each subject the first that is not answered: what was sent later might arrive earlier."""
        return self.db.execute("""SELECT id, topic, body FROM command c WHERE answer IS NULL AND rowid =
                                  (SELECT min(rowid) FROM command WHERE subject = c.subject AND answer IS NULL)
                                  ORDER BY rowid""").fetchall()

    def answered(self, command_id, answer):
        """Whether it is one of ours, and was open until now."""
        with self.db:
            return self.db.execute("UPDATE command SET answer = ? WHERE id = ? AND answer IS NULL", (answer, command_id)).rowcount

    def before(self, epoch, topic, shift):
        """The last event of a topic before all that have told of downtimes in this shift."""
        row = self.db.execute("""SELECT min(n) FROM event WHERE epoch = ? AND topic = ?
                                 AND EXISTS (SELECT 1 FROM json_each(body, '$.data.shares')
                                             WHERE json_extract(json_each.value, '$.shift') = ?)""",
                              (epoch, topic, shift)).fetchone()
        return (row[0] or 1) - 1


def key_of(event):
    """The topic's key, whether the event came live or on the replay topic."""
    data, kind = event["data"], event["type"].split(".")[1]
    if data["machine"] is None:
        return f"_gateway/{event['source'].removeprefix('andon:')}/{kind}"
    return f"{data['line']}/{data['machine']}/{kind}"


class Consumer:
    def __init__(self, args):
        self.args, self.store = args, Store(args.db)
        self.own = f"{args.root}/_gateway/{args.gateway}"
        self.digest, self.check_at, self.receipt_at = None, None, 0
        self.replay, self.refetched = None, set()     # (command_id, when to give it up)
        self.reported = None                          # the totals of the last receipt that had some
        self.sent = {}                                # when each command that is not answered was sent last
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=args.consumer, clean_session=False)
        if args.username:
            self.client.username_pw_set(args.username, open(args.password_file).readline().strip() if args.password_file else None)
        self.client.on_connect, self.client.on_message = self.connected, self.heard

    def connected(self, client, _userdata, _flags, reason, _properties):
        if reason.is_failure:
            return say(f"the broker refused: {reason}")
        # Anew on each connection: a broker may have lost the session, and a retained digest comes with a subscription.
        topics = [f"{self.args.root}/+/+/event/{kind}" for kind in KINDS]
        topics += [f"{self.own}/digest", f"{self.own}/replay/{self.args.consumer}", f"{self.args.root}/+/+/reply"]
        client.subscribe([(topic, 1) for topic in topics])
        self.replay = self.reported = None
        self.sent = {}
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
        elif self.replay and word.get("command_id") == self.replay[0]:      # 5: the last word of a replay
            say(f"replay: {word['count']} events, missing {word['missing']}" if word["done"] else f"replay: {word['why']}")
            self.store.note_missing(self.digest["epoch"], word["missing"])
            self.replay, self.check_at = None, time.monotonic() + WAIT_S
            self.confirm()

    def replied(self, reply):
        """Accepted, refused, or the same once more: each is an answer, but for one that asks to try again."""
        if self.replay and reply["command_id"] == self.replay[0]:
            if reply["result"] == "refused":
                say(f"replay refused: {reply['code']}: {reply['text']}")
                self.replay = (self.replay[0], time.monotonic() + WAIT_S)
        elif reply["code"] != "try_again" and self.store.answered(reply["command_id"], reply["result"]):
            self.sent.pop(reply["command_id"], None)
            if reply["result"] == "refused":
                say(f"{reply['verb']} refused: {reply['code']}: {reply['text']}")

    def takes(self, topic):
        return topic.rsplit("/", 1)[1] in KINDS

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
        """6 and 7: a receipt, with the totals where nothing later is booked."""
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
        ours = {(t["machine"], t["shift"]): t for t in store.totals()}
        exact = all(store.tail(digest["epoch"], topic) == n for topic, n in digest["tails"].items() if self.takes(topic))
        if level and exact:
            nothing = {"times": 0, "duration_ms": 0}
            totals = [{**line, **ours.get((line["machine"], line["shift"]), nothing)} for line in digest["totals"]]
            if totals != self.reported:
                receipt["totals"] = self.reported = totals
            for line, own in zip(digest["totals"], totals):
                self.compare(line, own)
        self.client.publish(f"{self.own}/receipt/{self.args.consumer}", json.dumps(receipt), qos=1)
        self.receipt_at = time.monotonic()

    def compare(self, theirs, own):
        name = (theirs["machine"], theirs["shift"], theirs["times"], theirs["duration_ms"])
        if theirs == own or name in self.refetched or self.replay:
            return
        self.refetched.add(name)      # once for each figure: what a second time does not mend is for people
        say(f"booked otherwise than the gateway says: {own} is not {theirs}")
        for topic in self.digest["tails"]:
            if topic.split("/")[1] == theirs["machine"] and topic.endswith("/downtime"):
                self.ask({topic: self.store.before(self.digest["epoch"], topic, theirs["shift"])})

    def tell(self, now):
        """What is not answered, the same bytes again: the gateway does each once."""
        for command_id, topic, body in self.store.due():
            if now - self.sent.get(command_id, -REPEAT_S) >= REPEAT_S:
                self.sent[command_id] = now
                self.client.publish(f"{self.args.root}/{topic}", body, qos=1)

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
        if self.client.is_connected():
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--db", required=True, help="SQLite file, made if it is not there")
    parser.add_argument("--broker", default="127.0.0.1:1883", metavar="HOST:PORT")
    parser.add_argument("--root", help="[mqtt] prefix and [gateway] path, as in andon/v1/acme/leipzig/hall-3")
    parser.add_argument("--gateway", help="[gateway] id")
    parser.add_argument("--consumer", default="mes", help="[[consumer]] id, and the client id")
    parser.add_argument("--username")
    parser.add_argument("--password-file")
    parser.add_argument("--totals", action="store_true", help="print what is booked, and end")
    parser.add_argument("--cells", action="store_true", help="the same per order and reason too")
    parser.add_argument("--send", nargs=2, action="append", metavar=("TOPIC", "JSON"),
                        help="a command, its topic below the root; what runs sends it. May be given several times")
    args = parser.parse_args()
    if args.totals or args.cells:
        return print(json.dumps(Store(args.db).cells() if args.cells else Store(args.db).totals()))
    if args.send:
        store = Store(args.db)
        return [store.enter(args.consumer, topic, json.loads(keys)) for topic, keys in args.send] and None
    if not (args.root and args.gateway):
        parser.error("--root and --gateway are needed")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Consumer(args).run()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Work requests of an andon gateway become work orders in a Roundup tracker, and what technicians do there goes back.

    roundup/make-tracker HOME URL                          once: a tracker that has work orders (docs/consumers.md)
    ./bridge_roundup.py --broker 127.0.0.1:1883 --root andon/v1/acme/leipzig/hall-3 --gateway gw-hall-3 --db bridge.db \\
        --roundup http://127.0.0.1:8917/plant/ --user andon --user-password-file password

The gateway's configuration names it:  [[consumer]] id = "cmms", kinds = ["work-request"], may = ["work-order"]
How events are held is in cmms.py, which lies beside this file. Here is what is between the two systems:
  there  an event is stored, then acknowledged, then entered in the tracker. The tracker itself refuses a second work order
         for one request, so entering again what was entered before a crash changes nothing
  back   work orders are looked at every few seconds. What differs from what was last told is a command, stored before it
         is sent and sent until it is answered; of each work order one at a time, so none overtakes another
"""
import base64
import datetime
import json
import signal
import sys
import time
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
import uuid

import cmms
from cmms import say

TIMEOUT_S = 5       # an answer of the tracker
AGAIN_S = 10        # until what the tracker did not take is tried again
OVERLAP_H = 26      # looked at again each time: time zones of the tracker, clocks that were set
FULL_S = 3600       # every work order is looked at so often
PAGE = 100

# What the tracker calls it → what the gateway does. `new` and `withdrawn` are not said: nobody has done anything.
STATUS = {"accepted": "accepted", "assigned": "assigned", "in progress": "in_progress", "on hold": "on_hold", "done": "completed",
          "closed": "closed", "rejected": "rejected", "cancelled": "cancelled"}

# Of a work order, for the way back.
LOOK = ("request_id", "line", "machine", "activity", "status.name", "assignedto.username", "actual_start", "actual_finish",
        "labour_minutes", "parts", "cause", "mechanism", "remedy", "remark")

# Of a request, for the way there; roundup/schema.py has the same. A key that the gateway knows of later is left out.
FIELDS = """title request_id request_status revision machine line path asset location equipment_path description work_type priority
    priority_text raised_at malfunction_start malfunction_end asset_down downtime_ms detection_method class occurrences lost_parts
    problem_reason problem_fault problem_text order product lot shift rule requested_by meters_run_hours meters_cycles
    downtime_id downtime_ids downtime_revision""".split()

TABLES = """
CREATE TABLE IF NOT EXISTS request (id TEXT PRIMARY KEY, revision INT, body TEXT, entered INT);
CREATE TABLE IF NOT EXISTS told (work_order TEXT PRIMARY KEY, body TEXT, revision INT, is_begun INT);
"""


class Store(cmms.Store):
    tables, kinds = cmms.CUSTODY + TABLES, ("work-request",)

    def book(self, data):
        """The highest revision of a request counts; `entered` is the one that the tracker has."""
        self.db.execute("""INSERT INTO request VALUES (?, ?, ?, 0) ON CONFLICT (id) DO UPDATE
                           SET revision = excluded.revision, body = excluded.body WHERE excluded.revision > revision""",
                        (data["request_id"], data["revision"], json.dumps(data)))

    def waiting(self):
        """Requests that the tracker does not have as they are."""
        rows = self.db.execute("SELECT body FROM request WHERE entered < revision ORDER BY rowid")
        return [json.loads(body) for body, in rows]

    def entered(self, data):
        with self.db:
            self.db.execute("UPDATE request SET entered = ? WHERE id = ?", (data["revision"], data["request_id"]))

    def saw(self, orders, root, by):
        """What is new of work orders becomes commands, and is not looked at again: one transaction. Says if there was any."""
        with self.db:
            news = [self.compare(order, root, by) for order in orders]
            self.put("seen", max([order["activity"] for order in orders] + [self.get("seen", "")]))
        return any(news)

    def compare(self, order, root, by):
        word = word_of(order)
        if word is None:
            return False
        row = self.db.execute("SELECT body, revision, is_begun FROM told WHERE work_order = ?", (word["work_order"],)).fetchone()
        told, revision, is_begun = row or (None, 0, False)
        if told == json.dumps(word):
            return False
        # By the tracker's clock, so that it goes on rising where this store was lost.
        revision = max(revision + 1, int(moment(order["activity"]).timestamp()))
        words, begins = [{**word, "revision": revision}], word["status"] == "in_progress"
        if "actual_start" in word and not (begins or is_begun):
            # Begun and ended between two looks: the response time is made of when somebody was there. Revision 0 is
            # answered `stale` where anything was told before: it takes nothing back, but the moment counts.
            words.insert(0, {**word, "status": "in_progress", "status_raw": "in progress", "revision": 0})
        for one in words:
            command = {"command_id": str(uuid.uuid4()), "by": by, **one}
            if one["status"] == "in_progress" and "actual_start" in one:
                command["at"] = one["actual_start"]
            topic = f"{root}/{order['line']}/{order['machine']}/command/work-order"
            self.db.execute("INSERT INTO command VALUES (?, ?, ?, NULL)", (command["command_id"], topic, json.dumps(command)))
        self.db.execute("INSERT OR REPLACE INTO told VALUES (?, ?, ?, ?)",
                        (word["work_order"], json.dumps(word), revision, is_begun or begins or len(words) > 1))
        return True

    def commands(self, root, by):
        """Of each work order the first that is not answered."""
        return self.db.execute("""SELECT id, topic, body FROM command WHERE rowid IN (
                                      SELECT min(rowid) FROM command WHERE answer IS NULL
                                      GROUP BY json_extract(body, '$.work_order')) ORDER BY rowid""").fetchall()


def fields(data):
    """A request as properties of a work order: nothing is edited, what lies inside another key is named with it."""
    flat = {}
    for key, value in data.items():
        if isinstance(value, dict):
            flat.update({f"{key}_{inner}": one for inner, one in value.items()})
        elif isinstance(value, list):
            flat[key] = " ".join(value)
        else:
            flat[key] = value
    flat["request_status"] = flat["status"]       # `status` is the technician's
    return {key: flat.get(key) for key in FIELDS}


def text(words, most=1000):
    """As long as the gateway takes it, without what steers terminals."""
    return "".join(one for one in words or "" if unicodedata.category(one) != "Cc" or one in "\n\t")[:most]


def moment(date):
    """A time as the tracker writes it: UTC, in seconds."""
    return datetime.datetime.strptime(date, "%Y-%m-%d.%H:%M:%S").replace(tzinfo=datetime.timezone.utc)


def word_of(order):
    """A work order as the gateway hears of it; None if there is nothing to say."""
    status = STATUS.get(order["status.name"])
    if status is None or not (order["request_id"] and order["line"] and order["machine"]):
        return None
    word = {
        "request_id": order["request_id"], "work_order": f"workorder{order['id']}", "status": status,
        "status_raw": text(order["status.name"], 64), "technician": text(order["assignedto.username"], 128),
        "cause": text(order["cause"]), "mechanism": text(order["mechanism"]), "remedy": text(order["remedy"]),
        "comment": text(order["remark"]),
        "labour_ms": None if order["labour_minutes"] is None else order["labour_minutes"] * 60_000,
        "parts": [text(part.strip(), 128) for part in (order["parts"] or "").replace("\n", ",").split(",") if part.strip()],
    }
    for key in ("actual_start", "actual_finish"):
        word[key] = order[key] and moment(order[key]).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {key: value for key, value in word.items() if value not in (None, "", [])}


class Trouble(Exception):
    """The tracker does not answer, or not as it should."""


class Roundup:
    """The REST API of a tracker, as far as it is needed: https://www.roundup-tracker.org/docs/rest.html"""

    def __init__(self, url, user, password):
        self.url = url.rstrip("/") + "/"
        parts = urllib.parse.urlsplit(url)
        token = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json", "X-Requested-With": "rest",
                        "Referer": self.url, "Origin": f"{parts.scheme}://{parts.netloc}"}

    def call(self, method, path, body=None, etag=None, but=()):
        """Status and data; a status that is an error is Trouble, except those in `but`."""
        request = urllib.request.Request(f"{self.url}rest/data/{path}", method=method, headers=self.headers,
                                         data=None if body is None else json.dumps(body).encode())
        if etag:
            request.add_header("If-Match", etag)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status, json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            if error.code in but:
                return error.code, None
            raise Trouble(f"{method} {path}: {error.code} {error.read(500).decode(errors='replace')}") from error
        except (OSError, ValueError) as error:
            raise Trouble(f"{method} {path}: {error}") from error

    def find(self, request_id):
        _, data = self.call("GET", f"workorder?request_id:={urllib.parse.quote(request_id)}&@fields=id")
        return data["collection"][0]["id"] if data["collection"] else None

    def enter(self, data):
        """The work order of a request: made, or brought up to date. A technician's fields are left alone."""
        wanted, is_withdrawn = fields(data), data["status"] == "withdrawn"
        number = self.find(data["request_id"])
        if number is None:
            if is_withdrawn:
                return say(f"{data['title']}: withdrawn before it was heard of")
            order = {key: value for key, value in wanted.items() if value is not None}
            status, made = self.call("POST", "workorder", {**order, "status": "new"}, but=(409,))
            if status != 409:
                return say(f"workorder{made['id']}: {data['title']}")
            number = self.find(data["request_id"])      # a POST from before a crash was faster
        _, held = self.call("GET", f"workorder/{number}?@verbose=2")
        order = held["attributes"]
        if (order["revision"] or 0) > data["revision"]:
            return None      # where this store was lost, events of long ago come first
        changes = {key: "" if value is None else value for key, value in wanted.items() if order[key] != value}
        if is_withdrawn and order["status"]["name"] == "new":      # nobody has begun yet: then nobody needs to
            changes["status"] = "withdrawn"
        if changes:
            # Whoever changed it since must not be overwritten: then the etag does not match, and it is tried again.
            self.call("PATCH", f"workorder/{number}", changes, etag=held["@etag"])
            say(f"workorder{number}: {', '.join(changes)}")

    def orders(self, since):
        """Work orders that were changed since then; all, if it is None."""
        query = f"@verbose=0&@sort=id&@page_size={PAGE}&@fields={','.join(LOOK)}"
        if since:
            query += f"&activity={since.strftime('%Y-%m-%d.%H:%M:%S')};"
        orders, page = [], 0
        while len(orders) == page * PAGE:
            page += 1
            _, data = self.call("GET", f"workorder?{query}&@page_index={page}")
            orders += data["collection"]
        return orders


class Bridge(cmms.Consumer):
    def __init__(self, args, store, roundup):
        super().__init__(args, store)
        self.roundup = roundup
        self.look_at, self.full_at = 0, 0
        self.again = {}      # request: when it is tried again

    def replied(self, reply):
        super().replied(reply)
        if reply["verb"] == "work-order":
            self.told_at = 0      # the next word on it

    def tick(self):
        super().tick()
        now = time.monotonic()
        # One at a time, so that the broker is not kept waiting.
        for data in self.store.waiting():
            if now >= self.again.get(data["request_id"], 0):
                self.there(data, now)
                break
        if now >= self.look_at:
            self.look_at = now + self.args.every
            self.back(now)

    def there(self, data, now):
        try:
            self.roundup.enter(data)
            self.store.entered(data)
            self.again.pop(data["request_id"], None)
        except Trouble as trouble:
            self.again[data["request_id"]] = now + AGAIN_S
            say(f"{data['title']} waits: {trouble}")

    def back(self, now):
        is_full, seen = now >= self.full_at, self.store.get("seen")
        since = None if is_full or not seen else moment(seen) - datetime.timedelta(hours=OVERLAP_H)
        try:
            orders = self.roundup.orders(since)
        except Trouble as trouble:
            self.look_at = now + AGAIN_S
            return say(f"work orders cannot be looked at: {trouble}")
        self.full_at = now + FULL_S if is_full else self.full_at
        if self.store.saw(orders, self.args.root, self.args.consumer):
            self.told_at = 0


def main():
    parser = cmms.options(__doc__.splitlines()[0])
    parser.add_argument("--roundup", required=True, metavar="URL", help="[tracker] web of the tracker's config.ini")
    parser.add_argument("--user", default="andon", help="in the tracker; what it writes there bears this name")
    parser.add_argument("--user-password-file", required=True)
    parser.add_argument("--every", type=float, default=5, metavar="SECONDS", help="how often work orders are looked at")
    args = parser.parse_args()
    if not (args.root and args.gateway):
        parser.error("--root and --gateway are needed")
    with open(args.user_password_file) as file:
        roundup = Roundup(args.roundup, args.user, file.readline().strip())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    Bridge(args, Store(args.db), roundup).run()


if __name__ == "__main__":
    main()

"""Roundup itself notes when a work order began and when it was done, unless the technician says otherwise."""
from roundup.date import Date


def note(db, cl, nodeid, newvalues):
    if not newvalues.get('status'):
        return
    status = db.workstatus.get(newvalues['status'], 'name')
    for name, key in (('in progress', 'actual_start'), ('done', 'actual_finish')):
        if status == name and not newvalues.get(key) and not cl.get(nodeid, key):
            newvalues[key] = Date('.')


def init(db):
    db.workorder.audit('set', note)

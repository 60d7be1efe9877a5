# Maintenance in a Roundup tracker: work orders, with every field of a work request of andon and those of the technician.
# `make-tracker` appends this file to the schema.py of Roundup's template `classic`.

workstatus = Class(db, 'workstatus', name=String(), order=Number())
workstatus.setkey('name')

technicians = {
    'status': Link('workstatus'), 'assignedto': Link('user'),
    'actual_start': Date(), 'actual_finish': Date(), 'labour_minutes': Integer(), 'parts': String(),
    'cause': String(), 'mechanism': String(), 'remedy': String(), 'remark': String(),
}
# The keys of the event's `data`, those of an object inside it with its name before them.
machines = {
    'request_id': String(), 'request_status': String(), 'revision': Integer(),
    'machine': String(), 'line': String(), 'path': String(), 'asset': String(),
    'location': String(), 'equipment_path': String(), 'description': String(indexme='yes'),
    'work_type': String(), 'priority': Integer(), 'priority_text': String(), 'raised_at': String(),
    'malfunction_start': String(), 'malfunction_end': String(), 'asset_down': Boolean(), 'downtime_ms': Integer(),
    'detection_method': String(), 'class': String(), 'occurrences': Integer(), 'lost_parts': Integer(),
    'problem_reason': String(), 'problem_fault': Integer(), 'problem_text': String(),
    'order': String(), 'product': String(), 'lot': String(), 'shift': String(), 'rule': String(), 'requested_by': String(),
    'meters_run_hours': Number(), 'meters_cycles': Integer(),
    'downtime_id': String(), 'downtime_ids': String(), 'downtime_revision': Integer(),
}
workorder = IssueClass(db, 'workorder', **technicians, **machines)
# Roundup itself refuses a second work order for the same request.
workorder.setkey('request_id')

for cl in 'workorder', 'workstatus':
    db.security.addPermissionToRole('User', 'View', cl)
# What the machine said stays as it was said: only the bridge writes it.
db.security.addPermissionToRole('User', db.security.addPermission(
    name='Edit', klass='workorder', properties=[*technicians, 'messages', 'files', 'nosy', 'superseder']))
db.security.addRole(name='Gateway', description='The bridge to andon')
for what in 'Create', 'Edit':
    db.security.addPermissionToRole('Gateway', what, 'workorder')

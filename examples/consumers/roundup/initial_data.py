# What `make-tracker` appends to the initial_data.py of Roundup's template `classic`.
for order, name in enumerate(('new', 'accepted', 'assigned', 'in progress', 'on hold', 'done', 'closed', 'rejected',
                              'cancelled', 'withdrawn')):
    db.getclass('workstatus').create(name=name, order=order)

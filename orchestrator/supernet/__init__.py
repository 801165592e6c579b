"""Weight sharing for any space, from its plain `build` alone.

A store holds one tensor for each parameter's name; any architecture's network borrows its part
of each (`borrowing`), is trained and judged in place as the plain module it is (`path_training`,
`judging`), or inherits a copy (`Store.inherit`). `admission` notices a space whose names do not
stand for roles, where sharing would cost more than it gives.
"""

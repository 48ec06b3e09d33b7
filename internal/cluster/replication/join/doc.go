// Package join holds two kinds of contents that can be joined: for object types where newest-wins
// would lose one of two updates of which neither knew the other (cluster.TypeSpec.Merge).
//
//   - [Registers], for small things that change one by one, as the flags of a message: of each, the
//     last writer wins.
//   - [Ledger], for what only grows: counters of which the larger stands, entries of which all
//     stand, and marks on them that stay.
//
// Both are semilattices: a join is commutative, associative and idempotent. Each value has exactly
// one form as bytes, so that all replicas end with the same (R1). Parse refuses every other form.
//
// # The formats
//
// Integers are unsigned and big-endian; a name is a u8 length, 1 to 255, and that many bytes. Lists
// are ascending by name, none twice. Nothing follows.
//
// Registers:
//
//	'R' 1             kind and version
//	count u32
//	each: name, time u64, node u64, length u16 (at most ValueMax), value
//
// Ledger:
//
//	'L' 1             kind and version
//	count u32
//	each: name, value u64, not 0
//	count u32
//	each: name, marks u8
//
// A time is nanoseconds since 1970, as u64 of the two's complement.
package join

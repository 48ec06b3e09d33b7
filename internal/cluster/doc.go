// Package cluster holds the words of the substrate: the nouns that every room of
// internal/cluster speaks in, and their rules. It does no I/O, has no clock of its own and
// imports nothing of this module.
//
// The substrate is a functionally homogeneous cluster (Saito, Bershad, Levy, SOSP '99): every
// node runs the same program and can do every task. It stores [Object]s. An object has an
// owner, a name that hashes to one of [BucketCount] buckets; the user map of the installed
// [View] says which node manages each bucket. The manager keeps, in memory only, what the nodes
// hold for each owner (an [Entry]); every node can rebuild that from its disk, bucket by bucket
// (a [Holding] an owner).
//
// Nothing here knows what the objects mean. A service (mail is the first) declares its object
// types with a [TypeSpec] and gives owners their names.
package cluster

// Package testbed runs a cluster of real nodes in one process, each with a simulated disk, and loads it.
//
// The nodes are those of the daemon, wired as it wires them: store, node, transport over TCP and TLS on
// loopback addresses, directory, delivery, retrieval, upkeep. Three things differ from thirty machines. Files of
// the store lie in memory, since the simulated disk (room simdisk) charges the time that a disk takes; the
// clients do not speak SMTP and POP3 but call the proxies where these front ends do (Verify for RCPT,
// Deliver at the end of DATA; Open, Read and Delete of a maildrop); and all share the machine's processors,
// so the disks are made slow enough for the processors not to matter.
//
// Load is a closed loop, as in the papers (TOCS §5.1): a number of clients, each of which begins a session as
// soon as its last has ended, nine deliveries to one fetch that deletes everything. What the cluster did is
// counted at the disks.
package testbed

// Package queueing is a model of a cluster that is limited by its disks, for questions that would take too many nodes
// or too long to measure: how much throughput old news of the load cost, at any size.
//
// Each node is one disk, a queue that serves first come, first served, and a proxy with a load table of its own. Clients
// keep a fixed number of messages under way: each goes to a random proxy, for a random user, and the next begins when
// it is stored. The proxy asks the real policy of room balance, with the real table; what is modelled is how old the
// table is: each proxy hears the load of all nodes at once, every so often. A tenth of the sessions empty a mailbox, so that users'
// fragments come and go.
//
// A model is no measurement of the code. It shares the code that decides, and nothing else.
package queueing

// Package dev runs a small cluster of real node processes on this machine, for a first look, for
// development and for whole-process tests. Nothing in it is special: each node is a child
// process `porcupine serve` with a configuration file of its own, and the second and later nodes
// join with tokens as nodes on other machines do. What is special is the configuration: all
// nodes listen on 127.0.0.1 only, and therefore permit logins without TLS.
//
// Node N listens at base + 100 N + offset: see [Ports]. All lies in one directory:
//
//	dev.json            the nodes, their ports and process ids
//	nodeN/porcupine.toml
//	nodeN/pid, nodeN/log, and the node's data
//
// A cluster started again on its directory resumes, with all the nodes it had, and the directory
// may have been moved meanwhile. A node that is killed stays dead until somebody starts it:
// porcupine serve --config nodeN/porcupine.toml. A node that runs already when the cluster is
// started is taken as it is, and not stopped at the end. Only one process at a time runs a
// cluster in a directory; others may add nodes to it.
package dev

// Package admin is how people and their tools speak to a running node.
//
// There are two doors. The admin socket is a Unix socket in the data directory that only the
// node's own user and root can open: every command of the command line that changes or inspects
// a cluster goes through it, as HTTP with JSON bodies ([Server], [Client]). The monitoring
// listener is plain HTTP for machines ([Monitor]): it tells, and changes nothing.
//
// Any node answers for the whole cluster. Passwords travel in request bodies over the socket,
// never on a command line, and are never logged.
package admin

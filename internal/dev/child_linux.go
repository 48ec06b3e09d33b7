package dev

import "syscall"

// childAttr puts a node into a process group of its own, so that the terminal's Ctrl-C comes to
// `porcupine dev` alone, which then stops the nodes one way. And the end of `porcupine dev` ends
// the nodes, however it comes. (The signal is tied to the thread that started the node; Go ends
// no thread that nobody locked.)
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}

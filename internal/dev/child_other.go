//go:build !linux

package dev

import "syscall"

// childAttr puts a node into a process group of its own, so that the terminal's Ctrl-C comes to
// `porcupine dev` alone. This system cannot tie the nodes' life to it: after kill -9 they go on,
// and the next `porcupine dev` on the directory finds them.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

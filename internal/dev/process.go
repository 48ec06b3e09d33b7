package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"porcupine/internal/admin"
)

// stopGrace is how long a node process may take to stop before it is killed.
const stopGrace = 30 * time.Second

// process is one running child.
type process struct {
	node *Node
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done
}

// start runs `porcupine serve` for the node, its output appended to nodeN/log.
func start(program string, n *Node) (*process, error) {
	log, err := os.OpenFile(filepath.Join(n.Dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	defer log.Close() // the child has its own copy
	cmd := exec.Command(program, "serve", "--config", n.Config)
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own, so that the terminal's Ctrl-C comes to this process alone, which then
	// stops the nodes one way; and the end of this process ends the nodes, however it comes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	n.PID = cmd.Process.Pid
	p := &process{node: n, cmd: cmd, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// stop asks the process to end and waits; after stopGrace it is killed.
func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.node.Name, err)
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
		return nil
	case <-grace.C:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.node.Name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not stop within %v and was killed; see %s", p.node.Name, stopGrace, filepath.Join(p.node.Dir, "log"))
}

// client speaks to the node over its admin socket.
func (n *Node) client() *admin.Client {
	return admin.NewClient(filepath.Join(n.Dir, admin.SocketName))
}

// await polls until ok holds for the node's status, the process ends or the context does.
func (p *process) await(ctx context.Context, what string, ok func(admin.Status) bool) error {
	const pollEvery = 20 * time.Millisecond
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	client := p.node.client()
	var last error
	for {
		status, err := client.Status(ctx)
		if err == nil && ok(status) {
			return nil
		}
		if err != nil {
			last = err
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%v) while waiting for %s; the end of its log:\n%s", p.node.Name, p.err, what, p.node.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s: waiting for %s: %w (last answer: %v); the end of its log:\n%s", p.node.Name, what, ctx.Err(), last, p.node.logTail())
		case <-tick.C:
		}
	}
}

// logTail gives the last 2 KiB of the node's log, for error messages.
func (n *Node) logTail() string {
	const tail = 2 << 10
	f, err := os.Open(filepath.Join(n.Dir, "log"))
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > tail {
		if _, err := f.Seek(-tail, io.SeekEnd); err != nil {
			return err.Error()
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, tail))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

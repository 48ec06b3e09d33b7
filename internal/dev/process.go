package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"porcupine/internal/admin"
)

// Times of node processes.
const (
	stopGrace    = 30 * time.Second // to stop, before it is killed
	pollEvery    = 20 * time.Millisecond
	leftoverWait = 10 * time.Second // for a process of an earlier run to end
)

// process is one running child.
type process struct {
	node Node
	cmd  *exec.Cmd
	from int64         // where its part of the log begins
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done
}

// start runs `porcupine serve` for the node, its output appended to nodeN/log.
func start(program string, n Node) (*process, error) {
	log, err := os.OpenFile(n.logPath(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	defer log.Close() // the child has its own copy
	info, err := log.Stat()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	cmd := exec.Command(program, "serve", "--config", n.Config)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttr()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", n.Name, err)
	}
	p := &process{node: n, cmd: cmd, from: info.Size(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
	}()
	return p, nil
}

// ended says how a process that is done has ended.
func (p *process) ended() string { return p.cmd.ProcessState.String() }

// farewell is what people read of a process that has ended by itself; command is how they call this program.
func (p *process) farewell(command string) string {
	text := fmt.Sprintf("%s (process %d) has ended: %s; start it again with: %s serve --config %s", p.node.Name, p.cmd.Process.Pid, p.ended(), command, p.node.Config)
	if p.err == nil {
		text += fmt.Sprintf("\nIf it was drained, that is as it should be: started again it leaves once more after a minute, unless its draining is cancelled; '%s dev --add' starts a new node", command)
	}
	return text
}

// endedBy reports whether a signal ended a process that is done: SIGTERM does so when it comes
// before the process has got as far as to wait for it.
func (p *process) endedBy(sig syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}

// stop asks the process to end and waits; after stopGrace it is killed. A process that had ended
// by itself was reported then.
func (p *process) stop() error {
	select {
	case <-p.done:
		return nil
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.node.Name, err)
	}
	grace := time.NewTimer(stopGrace)
	defer grace.Stop()
	select {
	case <-p.done:
		if p.err != nil && !p.endedBy(syscall.SIGTERM) {
			return fmt.Errorf("%s did not stop in order (%s); %s", p.node.Name, p.ended(), p.logTail())
		}
		return nil
	case <-grace.C:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.node.Name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not stop within %v and was killed; see %s", p.node.Name, stopGrace, p.node.logPath())
}

// client speaks to the node over its admin socket.
func (n *Node) client() *admin.Client {
	return admin.NewClient(filepath.Join(n.Dir, admin.SocketName))
}

// await polls until ok holds for the node's status, or ctx ends: the error is its cause.
func (n *Node) await(ctx context.Context, what string, ok func(admin.Status) bool) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	client := n.client()
	for {
		status, err := client.Status(ctx)
		if err == nil && ok(status) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("dev: %s: waiting for %s: %w", n.Name, what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// isRunning reports whether the node runs already, started by hand or by `dev --add`. A process
// of an earlier run that is about to end is waited for.
func (n *Node) isRunning(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, leftoverWait)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	client := n.client()
	for pid := n.pid(); ; {
		status, err := client.Status(ctx)
		if err == nil && status.Ready {
			return true
		}
		if err != nil && !isAlive(pid) {
			return false
		}
		select {
		case <-ctx.Done():
			return err == nil
		case <-tick.C:
		}
	}
}

// pid reads the node's pid file; 0 if there is none.
func (n *Node) pid() int {
	text, err := os.ReadFile(filepath.Join(n.Dir, "pid"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 1 {
		return 0
	}
	return pid
}

// isAlive reports whether there is a process of that id, which need not be the one that was meant.
func isAlive(pid int) bool {
	if pid == 0 {
		return false
	}
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

// requireFree wants nobody to listen on the node's ports.
func (n *Node) requireFree() error {
	p := n.Ports
	for _, port := range []int{p.SMTP, p.LMTP, p.Submission, p.Submissions, p.POP3, p.POP3S, p.IMAP, p.IMAPS, p.HTTP, p.Cluster} {
		addr := net.JoinHostPort(Host, strconv.Itoa(port))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			return fmt.Errorf("dev: %s: %w: stop the other program, or give this cluster other ports with --port-base and a --dir of its own", n.Name, err)
		}
		if err := ln.Close(); err != nil {
			return fmt.Errorf("dev: %s: %w", n.Name, err)
		}
	}
	return nil
}

func (n *Node) logPath() string { return filepath.Join(n.Dir, "log") }

// logTail gives the last lines that the process logged, for error messages.
func (p *process) logTail() string {
	const tailMax = 2 << 10
	path := p.node.logPath()
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(p.from, info.Size()-tailMax)
	text, err := io.ReadAll(io.NewSectionReader(f, from, info.Size()-from))
	if err != nil {
		return err.Error()
	}
	if _, rest, ok := strings.Cut(string(text), "\n"); ok && from > p.from {
		text = []byte(rest) // what is before is half a line
	}
	return fmt.Sprintf("the end of %s:\n%s", path, text)
}

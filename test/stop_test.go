package test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"porcupine/internal/admin"
)

// stopBound is what an orderly stop may take on a busy machine; idle ones take a fraction of a second.
const stopBound = 10 * time.Second

// awaitExit waits for a process to end and gives how long it took.
func awaitExit(t *testing.T, pid int) time.Duration {
	t.Helper()
	began := time.Now()
	for time.Since(began) < stopWithin {
		if !runs(pid) {
			return time.Since(began)
		}
		wait(t, 5*time.Millisecond)
	}
	t.Fatalf("process %d did not end within %v", pid, stopWithin)
	return 0
}

// runs reports whether a process runs; one that has ended and was not waited for yet does not.
func runs(pid int) bool {
	if err := syscall.Kill(pid, 0); err != nil {
		return false
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || !strings.Contains(string(text), ") Z ")
}

// A node that is told to stop leaves the view on purpose: nobody times out, its process ends soon, and
// clients of the others see nothing. All nodes told at once end as soon.
func TestOrderlyStop(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 4)
	c.await(1, "a cluster at rest", settled(3))
	pid := c.pid(2)
	c.signal(2, syscall.SIGTERM)
	took := awaitExit(t, pid)
	c.await(1, "a view without it", settled(2))
	for i := range 4 {
		send(t, at(c.node(1).Ports.SMTP), fmt.Sprintf("u%d@example.test", i), "Subject: x\r\n\r\nx\r\n")
	}
	for _, n := range []int{1, 3} {
		log, err := os.ReadFile(filepath.Join(c.node(n).Dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(log), "membership lost") {
			t.Errorf("node %d had to find out by itself:\n%s", n, log)
		}
	}
	t.Logf("one of three: %v", took)
	if took > stopBound {
		t.Errorf("an idle node took %v to stop", took)
	}

	c.serve(2)
	c.await(1, "three members", settled(3))
	pids := []int{c.pid(1), c.pid(2), c.pid(3)}
	began := time.Now()
	for n := 1; n <= 3; n++ {
		c.signal(n, syscall.SIGTERM)
	}
	for _, pid := range pids {
		awaitExit(t, pid)
	}
	t.Logf("all three at once: %v", time.Since(began))
	if took := time.Since(began); took > stopBound {
		t.Errorf("three nodes stopped at once took %v", took)
	}
}

// A stopping node finishes what it has begun: a message under way is taken, durable, and answered;
// new clients are turned away, and monitoring says why.
func TestStopDrainsSessions(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	n.users(1)
	busy, idle := dialLine(t, "", n.ports.SMTP), dialLine(t, "", n.ports.POP3)
	busy.must("EHLO client.example", "250")
	busy.must("MAIL FROM:<a@sender.example>", "250")
	busy.must("RCPT TO:<u0@example.test>", "250")
	busy.must("DATA", "354")
	if _, err := io.WriteString(busy.conn, "Subject: half\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := n.p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	idle.read() // its end: the node has begun to stop
	resp, err := http.Get("http://" + at(n.ports.HTTP) + "/readyz")
	if err != nil {
		t.Fatalf("monitoring of a node that drains: %v", err)
	}
	text, _ := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(text), "stopping") {
		t.Errorf("/readyz of a node that drains = %s, %q", resp.Status, text)
	}
	if conn, err := dialFrom(t.Context(), "", n.ports.SMTP); err == nil {
		conn.Close()
		t.Error("a node that stops takes new clients")
	}
	busy.must("half a message\r\n.", "250")
	if took := awaitExit(t, n.pid()); took > stopBound {
		t.Errorf("after its last session the node took %v to end", took)
	}
	<-n.p.done
	if code := n.p.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit status %d; its log:\n%s", code, n.p.out)
	}

	n.serve()
	l := dialLine(t, "", n.ports.POP3).startTLS("STLS", "+OK")
	l.must("USER u0@example.test", "+OK")
	l.must("PASS porcupine", "+OK")
	l.must("STAT", "+OK 1 ")
}

// A second process on a running node's directory says who has it, and leaves the first alone.
func TestSecondServe(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	out, err := exec.Command(program, "serve", "--config", n.conf).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("runs already, as process %d", n.pid())) {
		t.Errorf("a second serve = %v: %s", err, out)
	}
	for _, name := range []string{"pid", admin.SocketName} {
		if _, err := os.Stat(filepath.Join(n.dir, name)); err != nil {
			t.Errorf("after a second serve: %v", err)
		}
	}
	n.requireAlive()
}

// A path that no socket address can hold is no hindrance.
func TestLongDataDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	c := &clusterUnderTest{t: t, dir: dir, base: freeBase(t)}
	c.resume(1, 1)
	if s := c.await(1, "one member", settled(1)); !s.Ready {
		t.Errorf("status = %+v", s)
	}
}

// D10: when the disk fails, the process ends at once with a reason and a status, and what it had
// acknowledged is there after a new start. The disk is a small one in memory, which takes root.
func TestDiskFailure(t *testing.T) {
	t.Parallel()
	mount := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", mount).CombinedOutput(); err != nil {
		t.Skipf("a small disk cannot be mounted here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	n := startNode(t, "")
	n.stop()
	conf, err := os.ReadFile(n.conf)
	if err != nil {
		t.Fatal(err)
	}
	disk := filepath.Join(mount, "data")
	if out, err := exec.Command("cp", "-a", n.dir, disk).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	text := strings.ReplaceAll(string(conf), `data_dir = "data"`, fmt.Sprintf("data_dir = %q", disk))
	text = strings.ReplaceAll(text, "64MiB", "16MiB")
	if err := os.WriteFile(n.conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	n.dir, n.admin = disk, admin.NewClient(filepath.Join(disk, admin.SocketName))
	n.serve()
	n.users(1)
	const aliases = 100
	for i := range aliases {
		if err := n.admin.AddAlias(t.Context(), fmt.Sprintf("a%d@example.test", i), []string{"u0@example.test"}); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, filepath.Join(mount, "fill"))
	removed := 0
	var failed error
	for ; failed == nil && removed < aliases; removed++ {
		failed = n.admin.RemoveAlias(t.Context(), fmt.Sprintf("a%d@example.test", removed))
	}
	if failed == nil {
		t.Skip("the full disk still took everything")
	}
	took := awaitExit(t, n.pid())
	<-n.p.done
	if code := n.p.cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(n.p.out.String(), "the disk failed") || took > stopBound {
		t.Errorf("exit status %d after %v; its log:\n%s", code, took, n.p.out)
	}
	if err := os.Remove(filepath.Join(mount, "fill")); err != nil {
		t.Fatal(err)
	}
	n.serve()
	list, err := n.admin.ListAliases(t.Context(), "", admin.PageMax)
	if err != nil {
		t.Fatal(err)
	}
	acknowledged := removed - 1
	if len(list) > aliases-acknowledged || len(list) < aliases-acknowledged-1 {
		t.Errorf("%d aliases are left of %d after %d were removed and one was in doubt", len(list), aliases, acknowledged)
	}
}

// fill takes all room of a disk.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		block := slices.Repeat([]byte{'f'}, size)
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

// stop stops the node's process and waits for it.
func (n *oneNode) stop() {
	n.t.Helper()
	n.p.stop(n.t)
}

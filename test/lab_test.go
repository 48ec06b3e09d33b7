package test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/dev"
)

// The laboratory: each node is a machine of its own, a network namespace with one address, on a
// switch that is a namespace too, so that no rule of this computer's firewall is in the way. Faults of
// the network are nftables rules inside the machines, faults of a disk happen to an ext4 file system
// in a file. The clients are this process, on one more port of the switch.
//
// It takes Linux, root, and Debian's iproute2, nftables, e2fsprogs and util-linux. What a lab makes
// bears the id of this process and is removed at the end; what a lab that was itself killed left
// behind is removed by the next.

// labMode says whether the tests with machines run, and how long: make cluster runs the long form, CI
// the short one.
func labMode() string { return os.Getenv("PORCUPINE_CLUSTER_TESTS") }

const (
	labShort  = "short"
	labPrefix = "pcp" // of the names of namespaces
	labUsers  = 60    // u0, u1, ...: those of the load
	labOwners = 20    // k0, k1, ...: whose mail is kept
)

// needLab skips where a lab cannot be built.
func needLab(t *testing.T) {
	t.Helper()
	switch {
	case labMode() == "":
		t.Skip("builds machines of network namespaces: make cluster")
	case os.Geteuid() != 0:
		t.Skip("network namespaces take root")
	}
	for _, name := range []string{"ip", "nft", "nsenter", "mkfs.ext4", "mount", "losetup"} {
		needCommand(t, name)
	}
	probe := fmt.Sprintf("%s%dp", labPrefix, os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", probe).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %v: %s", err, out)
	}
	out, err := exec.Command("ip", "netns", "exec", probe, "nft", "add", "table", "inet", "lab").CombinedOutput()
	must(t, "ip", "netns", "del", probe)
	if err != nil {
		t.Skipf("nftables does not work here: %v: %s", err, out)
	}
}

// longOnly skips a scenario that CI has no time for.
func longOnly(t *testing.T) {
	t.Helper()
	if labMode() == labShort {
		t.Skip("in the long form only: make cluster")
	}
}

// must runs a program of the system.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// lab is a cluster of machines.
type lab struct {
	t        *testing.T
	dir      string
	settings string // more lines of the table [cluster] of every node
	net      netip.Addr
	machines []*machine
}

// machine is one node's computer.
type machine struct {
	lab  *lab
	n    int
	ns   string
	addr string
	dir  string // all that the node has; the data directory is in it, and perhaps on a disk of its own
	p    *proc
	// admin speaks to the node that runs there now.
	admin *admin.Client
}

// newLab builds machines 1 to n, without nodes. settings are lines of the table [cluster].
func newLab(t *testing.T, n int, settings string) *lab {
	t.Helper()
	needLab(t)
	sweepLabs(t)
	l := &lab{t: t, dir: t.TempDir(), settings: settings, net: freeSubnet(t)}
	l.buildSwitch()
	for i := 1; i <= n; i++ {
		l.addMachine()
	}
	return l
}

// sweepLabs removes what the labs of processes that no longer run have left.
func sweepLabs(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(must(t, "ip", "netns", "list")) {
		name := strings.Fields(line)[0]
		rest, ours := strings.CutPrefix(name, labPrefix)
		id, err := strconv.Atoi(strings.TrimRight(rest, "abcdefghijklmnopqrstuvwxyz"))
		if !ours || err != nil || syscall.Kill(id, 0) == nil {
			continue
		}
		t.Logf("removing what process %d left: %s", id, name)
		for pid := range strings.FieldsSeq(must(t, "ip", "netns", "pids", name)) {
			if id, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(id, syscall.SIGKILL) // it may have ended meanwhile
			}
		}
		must(t, "ip", "netns", "del", name)
	}
}

// freeSubnet draws a /24 that this computer has no address in.
func freeSubnet(t *testing.T) netip.Addr {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		base := netip.AddrFrom4([4]byte{10, byte(64 + rand.IntN(64)), byte(rand.IntN(256)), 0})
		free := true
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.Contains(base.AsSlice()) {
				free = false
			}
		}
		if free {
			return base
		}
	}
	t.Skip("no free subnet of 10/8 on this computer")
	return netip.Addr{}
}

func (l *lab) addrOf(n int) string {
	b := l.net.As4()
	b[3] = byte(n)
	return netip.AddrFrom4(b).String()
}

func (l *lab) name(suffix string) string {
	return fmt.Sprintf("%s%d%s", labPrefix, os.Getpid(), suffix)
}

// buildSwitch makes the namespace with the bridge, and the clients' port of it.
func (l *lab) buildSwitch() {
	sw, port := l.name("sw"), l.name("c")
	l.namespace(sw)
	must(l.t, "ip", "-n", sw, "link", "add", "br0", "type", "bridge")
	must(l.t, "ip", "-n", sw, "link", "set", "br0", "up")
	must(l.t, "ip", "link", "add", port, "type", "veth", "peer", "name", "clients", "netns", sw)
	l.t.Cleanup(func() { must(l.t, "ip", "link", "del", port) }) // with its namespace it would go later
	must(l.t, "ip", "-n", sw, "link", "set", "clients", "master", "br0", "up")
	must(l.t, "ip", "addr", "add", l.addrOf(254)+"/24", "dev", port)
	must(l.t, "ip", "link", "set", port, "up")
}

// namespace makes a namespace that is removed at the end, and with it its interfaces.
func (l *lab) namespace(name string) {
	must(l.t, "ip", "netns", "add", name)
	l.t.Cleanup(func() { must(l.t, "ip", "netns", "del", name) })
	must(l.t, "ip", "-n", name, "link", "set", "lo", "up")
}

// addMachine plugs one more machine into the switch.
func (l *lab) addMachine() *machine {
	l.t.Helper()
	n := len(l.machines) + 1
	m := &machine{lab: l, n: n, ns: l.name("n" + string(rune('a'+n))), addr: l.addrOf(n), dir: filepath.Join(l.dir, fmt.Sprintf("machine%d", n))}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		l.t.Fatal(err)
	}
	l.namespace(m.ns)
	port := fmt.Sprintf("port%d", n)
	must(l.t, "ip", "link", "add", "eth0", "netns", m.ns, "type", "veth", "peer", "name", port, "netns", l.name("sw"))
	must(l.t, "ip", "-n", l.name("sw"), "link", "set", port, "master", "br0", "up")
	must(l.t, "ip", "-n", m.ns, "addr", "add", m.addr+"/24", "dev", "eth0")
	must(l.t, "ip", "-n", m.ns, "link", "set", "eth0", "up")
	m.nft("add table inet lab", "add chain inet lab in { type filter hook input priority 0 ; }")
	m.admin = admin.NewClient(filepath.Join(m.data(), admin.SocketName))
	l.machines = append(l.machines, m)
	return m
}

func (m *machine) data() string { return filepath.Join(m.dir, "disk", "data") }
func (m *machine) conf() string { return filepath.Join(m.dir, "porcupine.toml") }

func (m *machine) at(port int) string { return net.JoinHostPort(m.addr, strconv.Itoa(port)) }

// Ports of a machine's node: it has an address of its own, so they are the well-known ones.
const (
	labSMTP    = 25
	labPOP3    = 110
	labIMAP    = 143
	labHTTP    = 7180
	labCluster = 7190
)

func (m *machine) writeConfig() {
	m.lab.t.Helper()
	text := fmt.Sprintf(`data_dir = %q
name = "machine%d"
hostname = "machine%d.%s"
[cluster]
listen = %q
%s
[smtp]
listen = %q
lmtp_listen = "off"
submission_listen = "off"
submissions_listen = "off"
[pop3]
listen = %q
tls_listen = "off"
[imap]
listen = %q
tls_listen = "off"
[http]
listen = %q
[auth]
allow_plaintext = true
[store]
min_free = "64MiB"
[limits]
connections_per_ip = 5000
`, m.data(), m.n, m.n, dev.Domain, m.at(labCluster), m.lab.settings, m.at(labSMTP), m.at(labPOP3), m.at(labIMAP), m.at(labHTTP))
	if err := errors.Join(os.MkdirAll(filepath.Dir(m.data()), 0o700), os.WriteFile(m.conf(), []byte(text), 0o600)); err != nil {
		m.lab.t.Fatal(err)
	}
}

// here is a command that runs on the machine.
func (m *machine) here(name string, args ...string) *exec.Cmd {
	// Not "ip netns exec", which gives a process mounts of its own: a disk could not be taken out then.
	return exec.Command("nsenter", append([]string{"--net=/run/netns/" + m.ns, name}, args...)...)
}

// porcupine runs a command of the program on the machine, with its configuration.
func (m *machine) porcupine(stdin string, args ...string) (string, error) {
	cmd := m.here(program, append(args, "--config", m.conf())...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("porcupine %s on machine %d: %w: %s", strings.Join(args, " "), m.n, err, errs.String())
	}
	return out.String(), nil
}

// init makes a cluster on machine 1.
func (m *machine) init() {
	m.lab.t.Helper()
	m.writeConfig()
	if _, err := m.porcupine("", "init"); err != nil {
		m.lab.t.Fatal(err)
	}
}

// join makes the machine a node of the cluster that another machine's node is in.
func (m *machine) join(by *machine) {
	m.lab.t.Helper()
	m.writeConfig()
	token, err := by.porcupine("", "token")
	if err == nil {
		_, err = m.porcupine(token, "join")
	}
	if err != nil {
		m.lab.t.Fatal(err)
	}
}

// serve starts the machine's node; it may take a while until that is ready.
func (m *machine) serve() {
	m.lab.t.Helper()
	p := &proc{cmd: m.here(program, "serve", "--config", m.conf()), out: &lockedBuffer{}, done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	if err := p.cmd.Start(); err != nil {
		m.lab.t.Fatal(err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the exit status is judged by whoever waits for done
	}()
	m.p = p
	m.lab.t.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGCONT) // a process that is stopped cannot end
		p.stop(m.lab.t)
	})
}

// ready waits until the node serves.
func (m *machine) ready() {
	m.lab.t.Helper()
	awaitReady(m.lab.t, m.p, m.admin)
}

// signal goes to the node's process, by its id.
func (m *machine) signal(sig syscall.Signal) {
	m.lab.t.Helper()
	if err := m.p.cmd.Process.Signal(sig); err != nil {
		m.lab.t.Fatalf("signal %v to machine %d: %v", sig, m.n, err)
	}
}

// kill ends the node with SIGKILL, as a power cut would, and waits for the process's end.
func (m *machine) kill() {
	m.lab.t.Helper()
	m.signal(syscall.SIGKILL)
	<-m.p.done
}

// destroy removes all that the node had: its disk is lost.
func (m *machine) destroy() {
	m.lab.t.Helper()
	if err := os.RemoveAll(m.data()); err != nil {
		m.lab.t.Fatal(err)
	}
}

// nft changes the machine's firewall.
func (m *machine) nft(commands ...string) {
	m.lab.t.Helper()
	cmd := m.here("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.lab.t.Fatalf("nft on machine %d: %v: %s", m.n, err, out)
	}
}

// deafTo makes the machine lose all that comes from others: one way.
func (m *machine) deafTo(others ...*machine) {
	m.lab.t.Helper()
	for _, o := range others {
		m.nft("add rule inet lab in ip saddr " + o.addr + " drop")
	}
}

// part cuts the network between two groups, both ways. Clients reach everybody.
func (l *lab) part(a, b []*machine) {
	l.t.Helper()
	for _, m := range a {
		m.deafTo(b...)
	}
	for _, m := range b {
		m.deafTo(a...)
	}
}

// heal takes all faults out of the network.
func (l *lab) heal() {
	l.t.Helper()
	for _, m := range l.machines {
		m.nft("flush chain inet lab in")
	}
}

// disk gives the machine a disk of its own, before its node is made: ext4 in a file.
func (m *machine) disk(bytes int64) {
	m.lab.t.Helper()
	image, mount := filepath.Join(m.dir, "disk.img"), filepath.Join(m.dir, "disk")
	f, err := os.Create(image)
	if err == nil {
		err = errors.Join(f.Truncate(bytes), f.Close(), os.MkdirAll(mount, 0o700))
	}
	if err != nil {
		m.lab.t.Fatal(err)
	}
	must(m.lab.t, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	must(m.lab.t, "mount", "-o", "loop,errors=remount-ro", image, mount)
	m.lab.t.Cleanup(func() {
		if out, err := exec.Command("umount", mount).CombinedOutput(); err != nil {
			m.lab.t.Errorf("umount: %v: %s", err, out)
		}
	})
}

// start makes the whole cluster, with the domain and its users, and waits until it is at rest.
func (l *lab) start() {
	l.t.Helper()
	first := l.machines[0]
	first.init()
	first.serve()
	first.ready()
	for _, m := range l.machines[1:] {
		m.join(first)
		m.serve()
	}
	for _, m := range l.machines {
		m.ready()
	}
	l.await("a cluster at rest", settled(len(l.machines)))
	ctx, cancel := context.WithTimeout(l.t.Context(), readyWithin)
	defer cancel()
	if err := first.admin.AddDomain(ctx, admin.Domain{Domain: dev.Domain}); err != nil {
		l.t.Fatal(err)
	}
	var addrs []string
	for i := range labUsers {
		addrs = append(addrs, loadUser(i))
	}
	for i := range labOwners {
		addrs = append(addrs, keeper(i))
	}
	if err := first.admin.AddUsers(ctx, addrs, dev.Password); err != nil {
		l.t.Fatal(err)
	}
}

func loadUser(i int) string { return fmt.Sprintf("u%d@%s", i, dev.Domain) }
func keeper(i int) string   { return fmt.Sprintf("k%d@%s", i, dev.Domain) }

// status asks a machine's node.
func (m *machine) status() (admin.Status, error) {
	ctx, cancel := context.WithTimeout(m.lab.t.Context(), 10*time.Second)
	defer cancel()
	return m.admin.Status(ctx)
}

// await polls the first node that answers until its status is ok.
func (l *lab) await(what string, ok func(admin.Status) bool) admin.Status {
	l.t.Helper()
	return l.awaitWithin(readyWithin, what, ok)
}

func (l *lab) awaitWithin(limit time.Duration, what string, ok func(admin.Status) bool) admin.Status {
	l.t.Helper()
	var last admin.Status
	var lastErr error
	for began := time.Now(); time.Since(began) < limit; wait(l.t, 100*time.Millisecond) {
		for _, m := range l.machines {
			if m.p == nil || !m.p.runs() {
				continue
			}
			if last, lastErr = m.status(); lastErr == nil && ok(last) {
				return last
			}
			break
		}
	}
	l.logs()
	l.t.Fatalf("%s did not happen within %v; last status %+v, %v", what, limit, last, lastErr)
	return last
}

// runs reports whether the process has not ended.
func (p *proc) runs() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// logs shows the end of what the nodes said: called when a test fails.
func (l *lab) logs() {
	const most = 60
	for _, m := range l.machines {
		if m.p == nil {
			continue
		}
		var lines []string
		for line := range strings.Lines(m.p.out.String()) {
			if !strings.Contains(line, "session ended") && !strings.Contains(line, "message stored") {
				lines = append(lines, line)
			}
		}
		l.t.Logf("machine %d, the last of %d lines that are not about mail:\n%s", m.n, len(lines), strings.Join(lines[max(0, len(lines)-most):], ""))
	}
}

// exists reports whether there is a file of that name.
func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

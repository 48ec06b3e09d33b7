package test

import (
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
)

// hangNoticedWithin is when a node whose disk hangs must be out of the view. The watchdog waits 3 s and the change of view
// takes one or two, which leaves 15 to a machine that has other things to do. What may not happen is that the others wait
// for the disk: it answers only when the test lets it.
const hangNoticedWithin = 20 * time.Second

// Fault 13, D1, V1, M5 on machines: the disk of one of three nodes stops to answer under load: every write
// waits (fsfreeze). The others have a view without it at once and go on; it lives, refuses its clients for now
// and says why; when the disk answers it comes back by itself, and nothing acknowledged is lost.
func TestMachines_DiskHangs(t *testing.T) {
	longOnly(t)
	needCommand(t, "fsfreeze")
	l := newLab(t, 3, twoCopies)
	hanging := l.machines[2]
	hanging.disk(512 << 20)
	l.start()
	mail := l.newKept()
	result := l.loadAll(16, 45*time.Second)
	mail.deliver(60, l.machines...)

	thaw := hanging.freeze()
	frozen := time.Now()
	l.awaitWithin(hangNoticedWithin, "a view without the node whose disk hangs", func(s admin.Status) bool { return len(s.Members) == 2 })
	t.Logf("out of the view %v after its disk hung", time.Since(frozen).Round(10*time.Millisecond))
	mail.deliver(200, l.machines[:2]...)
	if !hanging.p.runs() {
		t.Fatal("the process has ended")
	}
	if out, err := hanging.porcupine("", "status"); err != nil || !strings.Contains(out, "This node is out") {
		t.Errorf("status of the node whose disk hangs: %v: %s", err, out)
	}
	for port, want := range map[int]string{labSMTP: "421", labPOP3: "-ERR", labIMAP: "* BYE"} {
		if got := hanging.greeting(port); !strings.HasPrefix(got, want) {
			t.Errorf("V1: port %d of the node greets with %q, want %s", port, got, want)
		}
	}

	thaw()
	thawed := time.Now()
	l.await("three members", settled(3))
	t.Logf("a member again %v after the disk answered", time.Since(thawed).Round(10*time.Millisecond))
	hanging.ready()
	mail.deliver(60, l.machines...)
	judgeAway(t, <-result)
	l.rest(mail)
}

// greeting is the first line that a port of the machine says.
func (m *machine) greeting(port int) string {
	m.lab.t.Helper()
	conn, err := net.DialTimeout("tcp", m.at(port), 10*time.Second)
	if err != nil {
		m.lab.t.Fatal(err)
	}
	defer conn.Close()
	return newLine(m.lab.t, conn).read()
}

// freeze has the machine's disk hold every write until thaw is called, or the test ends.
func (m *machine) freeze() (thaw func()) {
	m.lab.t.Helper()
	mount := filepath.Join(m.dir, "disk")
	must(m.lab.t, "fsfreeze", "--freeze", mount)
	frozen := true
	thaw = func() {
		if !frozen {
			return
		}
		frozen = false
		if out, err := exec.Command("fsfreeze", "--unfreeze", mount).CombinedOutput(); err != nil {
			m.lab.t.Errorf("unfreeze: %v: %s", err, out)
		}
	}
	m.lab.t.Cleanup(thaw) // BEFORE the process is ended: it could not be, while it waits for the disk
	return thaw
}

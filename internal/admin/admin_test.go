package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"porcupine/internal/cluster"
)

// Every command goes over the socket and back.
func TestCommands(t *testing.T) {
	d := open(t)
	c, ctx := d.client, t.Context()
	yes, five := true, int64(5<<20)
	steps := []struct {
		name string
		do   func() error
	}{
		{"add domain", func() error {
			return c.AddDomain(ctx, Domain{Domain: "x.example", Postmaster: "ann@x.example"})
		}},
		{"set domain", func() error { return c.SetDomain(ctx, Domain{Domain: "x.example", CatchAll: "bob@x.example"}) }},
		{"add user", func() error { return c.AddUser(ctx, "ann@x.example", "s3cret-one") }},
		{"add users", func() error { return c.AddUsers(ctx, []string{"bob@x.example", "eve@x.example"}, "s3cret-two") }},
		{"passwd", func() error { return c.SetPassword(ctx, "ann@x.example", "s3cret-three") }},
		{"edit user", func() error {
			return c.EditUser(ctx, "ann@x.example", UserChange{QuotaBytes: &five, Disabled: &yes})
		}},
		{"remove user", func() error { return c.RemoveUser(ctx, "eve@x.example") }},
		{"add alias", func() error { return c.AddAlias(ctx, "info@x.example", []string{"ann@x.example", "bob@x.example"}) }},
		{"add another alias", func() error { return c.AddAlias(ctx, "gone@x.example", []string{"ann@x.example"}) }},
		{"remove alias", func() error { return c.RemoveAlias(ctx, "gone@x.example") }},
		{"add another domain", func() error { return c.AddDomain(ctx, Domain{Domain: "gone.example"}) }},
		{"remove domain", func() error { return c.RemoveDomain(ctx, "gone.example") }},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			t.Errorf("%s = %v", s.name, err)
		}
	}
	users, err := c.ListUsers(ctx, "", PageMax)
	want := []User{{Address: "ann@x.example", QuotaBytes: five, Disabled: true}, {Address: "bob@x.example"}}
	if diff := cmp.Diff(want, users); err != nil || diff != "" {
		t.Errorf("ListUsers = %v (-want +got):\n%s", err, diff)
	}
	domains, err := c.ListDomains(ctx, "", PageMax)
	if diff := cmp.Diff([]Domain{{Domain: "x.example", CatchAll: "bob@x.example"}}, domains); err != nil || diff != "" {
		t.Errorf("ListDomains = %v (-want +got):\n%s", err, diff)
	}
	aliases, err := c.ListAliases(ctx, "", PageMax)
	if diff := cmp.Diff([]Alias{{"info@x.example", []string{"ann@x.example", "bob@x.example"}}}, aliases); err != nil || diff != "" {
		t.Errorf("ListAliases = %v (-want +got):\n%s", err, diff)
	}
	status, err := c.Status(ctx)
	if err != nil || status.Node != 42 || len(status.Members) != 1 || status.Members[0].Buckets != 4096 {
		t.Errorf("Status = %+v, %v", status, err)
	}
	if text, expires, err := c.NewToken(ctx); text != "token-text" || !expires.Equal(time.Unix(1000, 0)) || err != nil {
		t.Errorf("NewToken = %q, %v, %v", text, expires, err)
	}
	for _, fewer := range []bool{true, false} {
		if err := c.Forget(ctx, "00000000000000aa", fewer); err != nil || !slices.Equal(d.cluster.forgotten, []cluster.NodeID{0xaa}) || d.cluster.fewer != fewer {
			t.Errorf("Forget = %v, forgotten %v, fewer %t", err, d.cluster.forgotten, d.cluster.fewer)
		}
		d.cluster.forgotten = nil
	}
	if err := c.Forget(ctx, "node3", false); !cluster.IsKind(err, cluster.KindInvalid) {
		t.Errorf("Forget of what is no id = %v, want kind invalid", err)
	}
	if got := d.directory.passwords["ann@x.example"]; got != "s3cret-three" {
		t.Errorf("password = %q", got)
	}
	d.close()
	if log := d.log.String(); strings.Contains(log, "s3cret") || strings.Contains(log, "token-text") || !strings.Contains(log, "object=ann@x.example") {
		t.Errorf("the log must name the objects and no secret (attack 13):\n%s", log)
	}
}

// What a caller gives as an error arrives with its kind and text.
func TestErrorsKeepTheirKind(t *testing.T) {
	d := open(t)
	for kind := cluster.KindInternal; kind <= cluster.KindLimit; kind++ {
		d.directory.fail = cluster.Errorf(kind, "add user ann", "because %d", kind)
		err := d.client.AddUser(t.Context(), "ann", "x")
		if cluster.KindOf(err) != kind || !strings.Contains(fmt.Sprint(err), fmt.Sprintf("add user ann: because %d", kind)) {
			t.Errorf("AddUser of %v = %v (%v)", kind, err, cluster.KindOf(err))
		}
		if _, err := d.client.ListUsers(t.Context(), "", 1); cluster.KindOf(err) != kind {
			t.Errorf("ListUsers of %v = %v", kind, err)
		}
	}
	d.directory.fail = errors.New("no kind")
	if err := d.client.RemoveUser(t.Context(), "ann"); !cluster.IsKind(err, cluster.KindInternal) || !strings.Contains(err.Error(), "no kind") {
		t.Errorf("RemoveUser = %v", err)
	}
}

func TestPaging(t *testing.T) {
	d := open(t)
	var addrs []string
	for i := range 2*AddUsersMax + 7 {
		addrs = append(addrs, fmt.Sprintf("u%05d@x.example", i))
	}
	if err := d.client.AddUsers(t.Context(), addrs, "x"); err != nil || d.directory.many != 3 {
		t.Fatalf("AddUsers of %d = %v in %d requests, want 3", len(addrs), err, d.directory.many)
	}
	seen := 0
	for after := ""; ; {
		page, err := d.client.ListUsers(t.Context(), after, 300)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		seen, after = seen+len(page), page[len(page)-1].Address
	}
	if seen != len(addrs) {
		t.Errorf("the pages have %d users, want %d", seen, len(addrs))
	}
	for _, limit := range []int{0, -1, PageMax + 1} {
		if _, err := d.client.ListUsers(t.Context(), "", limit); !cluster.IsKind(err, cluster.KindInvalid) {
			t.Errorf("ListUsers limit %d = %v, want invalid", limit, err)
		}
	}
}

// TestAttack26_RequestLimits: too large, too many, not JSON, unknown fields, more than one value.
func TestAttack26_RequestLimits(t *testing.T) {
	d := open(t)
	tests := []struct {
		name, path, body string
		want             cluster.Kind
	}{
		{"huge", "/users/add", `{"address":"` + strings.Repeat("a", BodyMax) + `"}`, cluster.KindLimit},
		{"many", "/users/add-many", `{"addresses":["a"` + strings.Repeat(`,"a"`, AddUsersMax) + `]}`, cluster.KindLimit},
		{"not JSON", "/users/add", `address=ann`, cluster.KindInvalid},
		{"empty", "/users/add", ``, cluster.KindInvalid},
		{"unknown field", "/users/add", `{"address":"ann","colour":"red"}`, cluster.KindInvalid},
		{"two values", "/users/add", `{"address":"ann"}{"address":"bob"}`, cluster.KindInvalid},
		{"no domain", "/domains/add", `{"address":"x.example"}`, cluster.KindInvalid},
		{"no change", "/users/edit", `{"address":"ann"}`, cluster.KindInvalid},
	}
	for _, tt := range tests {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://node"+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := d.client.http.Do(req)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if err := refusal(tt.path, resp); !cluster.IsKind(err, tt.want) || resp.StatusCode == http.StatusOK {
			t.Errorf("%s: POST %s = %s, %v; want %v", tt.name, tt.path, resp.Status, err, tt.want)
		}
		resp.Body.Close()
	}
	if len(d.directory.users) != 0 {
		t.Errorf("refused requests made users: %v", d.directory.users)
	}
}

// A change waits for a node that has just started.
func TestChangeAwaitsReadiness(t *testing.T) {
	d := open(t)
	d.cluster.notReady = 3
	if err := d.client.AddUser(t.Context(), "ann", "x"); err != nil || d.cluster.notReady != 0 {
		t.Errorf("AddUser = %v with %d questions to go", err, d.cluster.notReady)
	}
}

func TestVerify(t *testing.T) {
	tests := []struct {
		name   string
		faults []string
		fail   error
		err    string
	}{
		{"clean", nil, nil, ""},
		{"faults", []string{"corrupt: message 1: checksum", "orphan: chunk 2"}, nil, ""},
		{"cut midway", []string{"corrupt: message 1"}, errors.New("the disk\nis gone"), "the disk is gone"},
		{"fails at once", nil, errors.New("closed"), "closed"},
		{"a fault that looks like the end", []string{"ok: 0 faults", "failed: x"}, nil, ""},
		{"a fault of two lines", []string{"corrupt: a\r\nok: 0 faults"}, nil, ""},
		{"a long fault", []string{strings.Repeat("x", 1<<20)}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t)
			d.store.faults, d.store.fail = tt.faults, tt.fail
			var got []string
			err := d.client.Verify(t.Context(), func(f string) { got = append(got, f) })
			if len(got) != len(tt.faults) {
				t.Errorf("Verify reported %q, want %q", got, tt.faults)
			}
			if (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Verify = %v, want %q", err, tt.err)
			}
		})
	}
}

// A dump that breaks off must not look complete.
func TestDump(t *testing.T) {
	line := strings.Repeat("x", 1000)
	tests := []struct {
		name string
		dump []string
		fail error
		err  string
	}{
		{"whole", []string{line, line}, nil, ""},
		{"empty", nil, nil, ""},
		{"fails at once", nil, cluster.Errorf(cluster.KindCorrupt, "dump", "record 1"), "record 1"},
		{"cut midway", strings.Split(strings.Repeat(line+" ", 99), " ")[:99], errors.New("disk"), "not complete"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := open(t)
			d.store.dump, d.store.fail = tt.dump, tt.fail
			var b strings.Builder
			err := d.client.Dump(t.Context(), &b)
			if (tt.err == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Dump = %v, want %q", err, tt.err)
			}
			if tt.err == "" && strings.Count(b.String(), "\n") != len(tt.dump) {
				t.Errorf("Dump wrote %d lines, want %d", strings.Count(b.String(), "\n"), len(tt.dump))
			}
		})
	}
}

// cutTransport answers with a body that ends too early, as a node does that is killed.
type cutTransport struct{ text string }

func (c cutTransport) RoundTrip(*http.Request) (*http.Response, error) {
	body := io.MultiReader(strings.NewReader(c.text), brokenReader{})
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(body)}, nil
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestStreamsCutByTheNodesDeath(t *testing.T) {
	c := &Client{socket: "x", http: &http.Client{Transport: cutTransport{"fault 1\nfault 2\nok: 2 fau"}}}
	n := 0
	if err := c.Verify(t.Context(), func(string) { n++ }); !errors.Is(err, io.ErrUnexpectedEOF) || n != 1 {
		t.Errorf("Verify = %v after %d faults, want unexpected EOF after 1", err, n)
	}
	if err := c.Dump(t.Context(), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("Dump = %v, want unexpected EOF", err)
	}
}

func TestSocket(t *testing.T) {
	long := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(long, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"short": filepath.Join(t.TempDir(), "s"), "too long for a socket address": filepath.Join(long, SocketName)} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(descriptors); err != nil && len(path) > SocketPathMax {
				if _, err := Listen(path); err == nil || !strings.Contains(err.Error(), "data_dir") {
					t.Fatalf("Listen = %v, want advice", err)
				}
				t.Skip("this system does not show open files as paths")
			}
			if err := os.WriteFile(path, nil, 0o600); err != nil { // left over from a crash
				t.Fatal(err)
			}
			ln, err := Listen(path)
			if err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
			}
			accepted := make(chan error, 1)
			go func() {
				c, err := ln.Accept()
				if err == nil {
					err = c.Close()
				}
				accepted <- err
			}()
			c, err := dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(<-accepted, c.Close(), ln.Close()); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("after Close the socket is still there: %v", err)
			}
			if _, err := NewClient(path).Status(t.Context()); !errors.Is(err, ErrNotRunning) {
				t.Errorf("Status of no node = %v, want ErrNotRunning", err)
			}
		})
	}
}

// A socket that nobody listens on is a node that was killed.
func TestNotRunning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := ln.(*socket).UnixListener.Close(); err != nil { // the file stays
		t.Fatal(err)
	}
	if err := NewClient(path).AddUser(context.Background(), "a", "b"); !errors.Is(err, ErrNotRunning) {
		t.Errorf("AddUser = %v, want ErrNotRunning", err)
	}
}

func TestMonitor(t *testing.T) {
	cl := &fakeCluster{notReady: 1}
	m := &Monitor{Cluster: cl, Logger: slog.New(slog.DiscardHandler), Timeout: time.Second,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if _, err := io.WriteString(w, "porcupine_members 1\n"); err != nil {
				t.Error(err)
			}
		})}
	tests := []struct {
		method, path string
		code         int
		want         string
	}{
		{"GET", "/healthz", 200, "ok"},
		{"GET", "/readyz", 503, "not ready: node: 7 of 4096 buckets"},
		{"GET", "/readyz", 200, "ready"},
		{"GET", "/metrics", 200, "porcupine_members 1"},
		{"GET", "/status", 200, `"epoch":"3.000000000000002a"`},
		{"POST", "/status", 405, ""},
		{"GET", "/users", 404, ""},
		{"GET", "/store/dump", 404, ""},
		{"GET", "/debug/pprof/", 404, ""},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.want) {
			t.Errorf("%s %s = %d %q, want %d %q", tt.method, tt.path, w.Code, w.Body, tt.code, tt.want)
		}
	}
	cl.fail = cluster.Errorf(cluster.KindUnavailable, "status", "stopping")
	w := httptest.NewRecorder()
	if m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/status", nil)); w.Code != 503 {
		t.Errorf("GET /status of a node that cannot tell = %d, want 503", w.Code)
	}
}

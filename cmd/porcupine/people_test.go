package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
)

// office answers on an admin socket for a few users, domains and deleted messages.
type office struct {
	admin.Directory // what no test asks for
	changed         admin.UserChange
	since           time.Time
	restored        []string
	silent          []cluster.NodeID
	archive         admin.Archive
}

var day = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func (o *office) ListUsers(_ context.Context, after string, _ int) ([]admin.User, error) {
	if after != "" {
		return nil, nil
	}
	return []admin.User{
		{Address: "zoe@x.example", CopiesWanted: 2, Created: day},
		{Address: "ann@x.example", Messages: 3, Bytes: 99, QuotaBytes: 5 << 30, Copies: 3, CopiesWanted: 3, Created: day, Disabled: true},
	}, nil
}

func (o *office) ShowUser(_ context.Context, address string) (admin.UserDetail, error) {
	users, err := o.ListUsers(context.Background(), "", 0)
	return admin.UserDetail{User: users[1], SCRAM: true, ProfileNodes: []cluster.NodeID{1, 2, 3},
		Mail: []admin.Fragment{{Nodes: []cluster.NodeID{1, 2}, Live: []cluster.NodeID{2}, Messages: 3, Bytes: 99}}}, err
}

func (o *office) EditUser(_ context.Context, _ string, c admin.UserChange) error {
	o.changed = c
	return nil
}

func (o *office) AddUser(context.Context, string, string) error     { return nil }
func (o *office) SetPassword(context.Context, string, string) error { return nil }
func (o *office) RemoveUser(context.Context, string) error          { return nil }
func (o *office) AddDomain(context.Context, admin.Domain) error     { return nil }
func (o *office) RemoveDomain(context.Context, string) error        { return nil }

func (o *office) ListDomains(_ context.Context, after string, _ int) ([]admin.Domain, error) {
	if after != "" {
		return nil, nil
	}
	return []admin.Domain{{Domain: "x.example", Copies: 3}, {Domain: "y.example", CatchAll: "ann@x.example"}}, nil
}

func (o *office) ListAliases(_ context.Context, after string, _ int) ([]admin.Alias, error) {
	if after != "" {
		return nil, nil
	}
	return []admin.Alias{{Address: "info@x.example", Targets: []string{"ann@x.example"}}}, nil
}

func (o *office) ListDeleted(_ context.Context, _ string, since time.Time) (admin.DeletedList, error) {
	o.since = since
	return admin.DeletedList{Silent: o.silent, Messages: []admin.Deleted{
		{ID: "aa", Size: 5, Received: day, Deleted: day.Add(time.Hour), Nodes: []cluster.NodeID{1, 2}},
		{ID: "bb", Size: 7, Received: day, Deleted: day.Add(2 * time.Hour), Nodes: []cluster.NodeID{1}, Restored: true},
	}}, nil
}

func (o *office) Restore(_ context.Context, _ string, ids []string) (results []admin.Restored, err error) {
	o.restored = append(o.restored, ids...)
	for _, id := range ids {
		r := admin.Restored{ID: id}
		switch id {
		case "bb":
			r.Kind, r.Error = cluster.KindExists, "it is in the mailbox already"
		case "cc":
			r.Kind, r.Error = cluster.KindNotFound, "no node that answers has it"
		}
		results = append(results, r)
	}
	return results, nil
}

func (o *office) Status(context.Context) (admin.Status, error) {
	return admin.Status{Node: 1}, nil
}
func (o *office) Ready() error { return nil }
func (o *office) NewToken(context.Context) (string, time.Time, error) {
	return "", time.Time{}, errors.New("not asked for")
}
func (o *office) Forget(_ context.Context, _ cluster.NodeID, fewer bool) error {
	if !fewer {
		return cluster.Errorf(cluster.KindInvalid, "remove node", "too few would stay")
	}
	return nil
}

func (o *office) Drain(_ context.Context, _ cluster.NodeID, d admin.DrainOptions) error {
	if !d.FewerCopies && !d.Cancel {
		return cluster.Errorf(cluster.KindInvalid, "drain node", "too few would stay")
	}
	return nil
}

func (o *office) Verify(context.Context, admin.VerifyOptions) (admin.Verification, error) {
	return admin.Verification{}, errors.New("not asked for")
}

// openOffice serves on the socket of a configuration, whose path it gives.
func openOffice(t *testing.T, o *office) string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "c.toml")
	if err := os.WriteFile(conf, []byte("data_dir = \".\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &admin.Server{Directory: o, Cluster: o, Keeper: o, Vault: o, Archive: o.archive, Timeout: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	ln, err := admin.Listen(filepath.Join(dir, admin.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return conf
}

// TestMain sets the time zone of all tests: before any of them runs, since everything reads it.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

func TestPeopleCommands(t *testing.T) {
	o := &office{}
	conf := openOffice(t, o)
	for _, tt := range []struct {
		args   string
		code   int
		want   string // all of standard output, blanks at the ends of lines apart
		errOut string // in it
	}{
		{"user list", 0, `
USER           MESSAGES  BYTES  QUOTA          COPIES  CREATED     NOTE
ann@x.example  3         99     5GiB           3       2026-01-31  disabled
zoe@x.example  0         0      the cluster's  2       2026-01-31
`, ""},
		{"user show ann@x.example", 0, `
user        ann@x.example
note        disabled
created     2026-01-31 12:00:00
changed     0001-01-01 00:00:00
SCRAM       yes
quota       5GiB
copies      3
mail        3 messages, 99 bytes (of the mail map, some seconds behind deliveries)
profile on  0000000000000001, 0000000000000002, 0000000000000003
mail on     0000000000000001, 0000000000000002: 3 messages, 99 bytes; live: 0000000000000002
`, ""},
		{"domain list", 0, `
DOMAIN     POSTMASTER  CATCH-ALL      COPIES
x.example  -           -              3
y.example  -           ann@x.example  -
`, ""},
		{"vault list ann@x.example", 0, `
ID  BYTES  RECEIVED             DELETED              ON NODES  NOTE
aa  5      2026-01-31 12:00:00  2026-01-31 13:00:00  2
bb  7      2026-01-31 12:00:00  2026-01-31 14:00:00  1         restored
`, "ON NODES: so many nodes keep the message, each a copy of its own"},
		{"vault restore ann@x.example --all", 0, "\n", "1 messages restored"},
		{"vault restore ann@x.example aa bb", 0, "\n", "bb: it is in the mailbox already"},
		{"vault restore ann@x.example aa cc", exitFailed, "\n", "1 messages could not be restored"},
	} {
		code, out, errOut := try(t, "", append(strings.Fields(tt.args), "--config", conf)...)
		var lines []string
		for line := range strings.Lines(out) {
			lines = append(lines, strings.TrimRight(line, " \n")+"\n")
		}
		if got := "\n" + strings.Join(lines, ""); code != tt.code || got != tt.want || !strings.Contains(errOut, tt.errOut) {
			t.Errorf("porcupine %s = %d, %q\n%swant %d, %q\n%s", tt.args, code, errOut, got, tt.code, tt.errOut, tt.want)
		}
	}
	if got := strings.Join(o.restored, " "); got != "aa aa bb aa cc" {
		t.Errorf("restored: %s", got)
	}
	if code, _, errOut := try(t, "", "user", "set", "ann@x.example", "--copies", "0", "--config", conf); code != 0 || o.changed.Copies == nil || *o.changed.Copies != 0 {
		t.Errorf("user set --copies 0 = %d, %s, changed %+v", code, errOut, o.changed)
	}
	o.silent = []cluster.NodeID{7}
	if code, out, errOut := try(t, "", "vault", "list", "ann@x.example", "--since", "2026-01-30", "--config", conf); code != exitFailed ||
		!strings.Contains(out, "aa") || !strings.Contains(errOut, "0000000000000007") || !o.since.Equal(day.Add(-36*time.Hour)) {
		t.Errorf("vault list with a silent node, since %v = %d, %s, %s", o.since, code, out, errOut)
	}
}

// The node decides whether enough nodes stay, and hears whether fewer are meant.
func TestNodesGoWithFewerCopiesWhenAsked(t *testing.T) {
	conf := openOffice(t, &office{})
	for args, want := range map[string]int{
		"node drain 00000000000000aa": exitFailed, "node drain 00000000000000aa --fewer-copies": 0, "node drain 00000000000000aa --cancel": 0,
		"node remove 00000000000000aa": exitFailed, "node remove 00000000000000aa --fewer-copies": 0,
	} {
		code, _, errOut := try(t, "", append(strings.Fields(args), "--config", conf)...)
		if code != want || (want != 0) != strings.Contains(errOut, "too few would stay") {
			t.Errorf("porcupine %s = %d, %q, want %d", args, code, errOut, want)
		}
	}
	var b strings.Builder
	left := &admin.Member{Upkeep: &admin.Upkeep{Draining: true}}
	if err := (&nodeDrainCmd{ID: "7", fewerFlag: fewerFlag{FewerCopies: true}}).gone(&b, left); err != nil || !strings.Contains(b.String(), "'porcupine node remove 7 --fewer-copies'") {
		t.Errorf("gone() = %v, %q", err, b.String())
	}
}

// What changes something says that it did.
func TestCommandsSayWhatTheyDid(t *testing.T) {
	o := &office{}
	conf := openOffice(t, o)
	for args, want := range map[string]string{
		"user add bob@x.example --copies 3": "The user bob@x.example is made.\n",
		"user passwd ann@x.example":         "The password of ann@x.example is changed.\n",
		"user set ann@x.example --disable":  "The user ann@x.example is changed.\n",
		"user remove ann@x.example": "The user ann@x.example is removed, with 3 messages, 99 bytes.\nAliases that lead to nobody now, mail for which waits until" +
			" 'porcupine alias add' gives them other targets, or 'porcupine alias remove' ends them: info@x.example\nDomains whose mail for unknown addresses went there:" +
			" name another with 'porcupine domain set --catch-all', or leave it out: y.example\nFor a while",
		"domain add y.example":    "The cluster takes mail for y.example now.\n",
		"domain remove y.example": "The cluster takes no more mail for y.example.\n",
	} {
		code, out, errOut := try(t, "secret\n", append(strings.Fields(args), "--config", conf)...)
		if code != 0 || !strings.HasPrefix(out, want) {
			t.Errorf("porcupine %s = %d, %q, %q, want %q", args, code, out, errOut, want)
		}
		if strings.Contains(args, "--copies") && (o.changed.Copies == nil || *o.changed.Copies != 3) {
			t.Errorf("%s changed %+v", args, o.changed)
		}
		o.changed = admin.UserChange{}
	}
}

func TestMoment(t *testing.T) {
	now := day
	for text, want := range map[string]time.Time{
		"2h":                        day.Add(-2 * time.Hour),
		"2026-01-31T13:00:00+01:00": day,
		"2026-01-31":                time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T12:30":          time.Date(2026, 1, 31, 12, 30, 0, 0, time.Local),
		"2026-01-31 12:30:05":       time.Date(2026, 1, 31, 12, 30, 5, 0, time.Local),
	} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil || !m.before(now).Equal(want) || !m.isSet() {
			t.Errorf("moment %q = %v, %v, want %v", text, m.before(now), err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "0s", "2026-13-01"} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("moment %q = %v, want an error", text, m)
		}
	}
}

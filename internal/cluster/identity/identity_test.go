package identity

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"porcupine/internal/cluster"
)

func TestInitThenLoad(t *testing.T) {
	files := new(MemFiles)
	_, err := Load(files, Options{})
	wantKind(t, "Load of nothing", err, cluster.KindNotFound)

	made, err := Init(files, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if made.Node() == cluster.NoNode || made.Cluster() == (cluster.ID{}) {
		t.Errorf("Init = %v: an id is missing", made)
	}
	loaded, err := Load(files, Options{})
	if err != nil || loaded.Node() != made.Node() || loaded.Cluster() != made.Cluster() {
		t.Errorf("Load = %v, %v; want %v", loaded, err, made)
	}
	_, err = Init(files, Options{})
	wantKind(t, "second Init", err, cluster.KindExists)
	_, _, err = Join(t.Context(), files, Token{}, JoinOptions{})
	wantKind(t, "Join after Init", err, cluster.KindExists)

	// The id that the data beside it has is checked: a copied file is told.
	if _, err := Load(files, Options{Node: made.Node()}); err != nil {
		t.Errorf("Load with the same id = %v", err)
	}
	_, err = Load(files, Options{Node: made.Node() + 1})
	wantKind(t, "Load with another id", err, cluster.KindInvalid)

	with, _ := mustInit(t, Options{Node: 5})
	if with.Node() != 5 {
		t.Errorf("Init with node 5 = %v", with)
	}
	if with.Cluster() == made.Cluster() {
		t.Error("two clusters have one id")
	}
}

func TestDir(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "identity")
	if _, err := Dir(path).ReadFile(FileName); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadFile of nothing = %v, want fs.ErrNotExist", err)
	}
	if _, err := Init(Dir(path), Options{}); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(path, FileName)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode of %s = %04o, want 0600", FileName, info.Mode().Perm())
	}
	names, err := os.ReadDir(path)
	if err != nil || len(names) != 1 {
		t.Errorf("directory has %v, %v; want %s alone", names, err, FileName)
	}
	if _, err := Load(Dir(path), Options{}); err != nil {
		t.Errorf("Load = %v", err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = Load(Dir(path), Options{})
	wantKind(t, "Load of a file that the group can read", err, cluster.KindDenied)
	if !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("Load = %v, want it to say what to do", err)
	}
}

func TestLoadDamaged(t *testing.T) {
	_, files := mustInit(t, Options{})
	whole, err := files.ReadFile(FileName)
	if err != nil {
		t.Fatal(err)
	}
	_, other := mustInit(t, Options{})
	foreign, err := other.ReadFile(FileName)
	if err != nil {
		t.Fatal(err)
	}
	blocks := func(data []byte) (out [][]byte) {
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			out = append(out, pem.EncodeToMemory(block))
		}
		return out
	}
	a, b := blocks(whole), blocks(foreign)
	for name, data := range map[string][]byte{
		"empty":                    nil,
		"cut":                      whole[:len(whole)/2],
		"without the last key":     bytes.Join(a[:3], nil),
		"in another order":         bytes.Join([][]byte{a[1], a[0], a[2], a[3]}, nil),
		"another node's key":       bytes.Join([][]byte{a[0], b[1], a[2], a[3]}, nil),
		"another CA":               bytes.Join([][]byte{a[0], a[1], b[2], b[3]}, nil),
		"another CA's key":         bytes.Join([][]byte{a[0], a[1], a[2], b[3]}, nil),
		"the CA as the node":       bytes.Join([][]byte{a[2], a[3], a[2], a[3]}, nil),
		"the node as the CA":       bytes.Join([][]byte{a[0], a[1], a[0], a[1]}, nil),
		"a certificate of rubbish": bytes.Join([][]byte{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), a[1], a[2], a[3]}, nil),
	} {
		damaged := new(MemFiles)
		if err := damaged.WriteFile(FileName, data); err != nil {
			t.Fatal(err)
		}
		_, err := Load(damaged, Options{})
		wantKind(t, "Load of "+name, err, cluster.KindCorrupt)
	}
}

// TestRenewal: at two thirds of its life a certificate is replaced, with a new key, durably; before
// that it is not.
func TestRenewal(t *testing.T) {
	clock := newClock()
	id, files := mustInit(t, Options{Now: clock.Now})
	first := id.certificate()

	clock.advance(CertLife * 6 / 10)
	if renewed, err := id.Renew(); renewed || err != nil {
		t.Errorf("Renew at six tenths = %v, %v; want it to stay", renewed, err)
	}
	clock.advance(CertLife / 10)
	if renewed, err := id.Renew(); !renewed || err != nil {
		t.Errorf("Renew at seven tenths = %v, %v; want a new one", renewed, err)
	}
	second := id.certificate()
	if second.Leaf.NotAfter != clock.Now().Add(CertLife) || bytes.Equal(second.Leaf.RawSubjectPublicKeyInfo, first.Leaf.RawSubjectPublicKeyInfo) {
		t.Errorf("renewed certificate ends %v and has the old key: %v", second.Leaf.NotAfter,
			bytes.Equal(second.Leaf.RawSubjectPublicKeyInfo, first.Leaf.RawSubjectPublicKeyInfo))
	}
	loaded, err := Load(files, Options{Now: clock.Now})
	if err != nil || !bytes.Equal(loaded.certificate().Certificate[0], second.Certificate[0]) {
		t.Errorf("Load after Renew = %v, %v; want the renewed certificate", loaded, err)
	}

	// Row 35: a node that was away past the end has a good certificate again when it starts.
	clock.advance(5 * CertLife)
	loaded, err = Load(files, Options{Now: clock.Now})
	if err != nil || loaded.NotAfter() != clock.Now().Add(CertLife) {
		t.Errorf("Load after five years = %v, %v; want a fresh certificate", loaded, err)
	}
}

// failingFiles cannot write.
type failingFiles struct{ Files }

func (failingFiles) WriteFile(string, []byte) error { return errors.New("disk is full") }

func TestRenewalThatCannotBeWritten(t *testing.T) {
	clock := newClock()
	_, files := mustInit(t, Options{Now: clock.Now})
	id, err := Load(failingFiles{files}, Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	before := id.NotAfter()
	clock.advance(CertLife * 9 / 10)
	if renewed, err := id.Renew(); renewed || err == nil {
		t.Errorf("Renew without a disk = %v, %v; want an error", renewed, err)
	}
	if id.NotAfter() != before {
		t.Error("a certificate that is not written is in use")
	}
	if _, err := Init(failingFiles{new(MemFiles)}, Options{}); err == nil {
		t.Error("Init without a disk = nil, want an error")
	}
}

// TestRun: the node renews its certificate by itself.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id, _ := mustInit(t, Options{})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			id.Run(ctx)
			close(done)
		}()
		start := time.Now()
		time.Sleep(CertLife * 3) // fake time
		if left := time.Until(id.NotAfter()); left < CertLife/4 {
			t.Errorf("after %v the certificate has %v left", time.Since(start), left)
		}
		cancel()
		<-done
	})
}

// fullDisk can be read, and not written.
type fullDisk struct{ *MemFiles }

func (fullDisk) WriteFile(string, []byte) error { return errors.New("no space left on device") }

// TestRenewalFails: a node whose disk is full starts, as long as its certificate is good.
func TestRenewalFails(t *testing.T) {
	clock := newClock()
	_, files := mustInit(t, Options{Now: clock.Now})
	var log bytes.Buffer
	clock.advance(CertLife * 3 / 4)
	id, err := Load(fullDisk{files}, Options{Now: clock.Now, Logger: logTo(&log)})
	if err != nil || !strings.Contains(log.String(), "no space left") {
		t.Fatalf("Load with a certificate that is due = %v, log %q; want it loaded, and a word in the log", err, log.String())
	}
	if renewed, err := id.Renew(); renewed || err == nil {
		t.Errorf("Renew on a full disk = %v, %v; want an error", renewed, err)
	}
	clock.advance(CertLife / 4)
	if _, err := Load(fullDisk{files}, Options{Now: clock.Now}); err == nil {
		t.Error("Load with a certificate that has run out and cannot be renewed = nil, want an error")
	}
}

// TestRefusalsInLog: strangers do not fill the log while a token is open.
func TestRefusalsInLog(t *testing.T) {
	var r refusals
	start := newClock().Now()
	for _, test := range []struct {
		at     time.Duration
		silent int
		ok     bool
	}{
		{0, 0, true}, {1, 0, false}, {refusalLogPeriod - 1, 0, false}, {refusalLogPeriod, 2, true},
		{refusalLogPeriod + 1, 0, false}, {-time.Hour, 1, true}, // the clock was set back
	} {
		if silent, ok := r.next(start.Add(test.at), refusalLogPeriod); silent != test.silent || ok != test.ok {
			t.Errorf("next after %v = %d, %v; want %d, %v", test.at, silent, ok, test.silent, test.ok)
		}
	}
}

// TestNoSecretInText: no verb and no log prints a key or the secret of a token.
func TestNoSecretInText(t *testing.T) {
	var log bytes.Buffer
	logger := logTo(&log)
	id, _ := mustInit(t, Options{Logger: logger})
	token, err := id.IssueToken([]string{"127.0.0.1:1"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	logger.Info("all of it", "identity", id, "token", token)
	text := log.String() + fmt.Sprintf("%v %+v %#v %s %v %+v %#v %s", id, id, id, id, token, token, token, token)
	for name, secret := range map[string]string{
		"CA key":      fmt.Sprintf("%x", id.ca.key),
		"CA key list": fmt.Sprint([]byte(id.ca.key)[:8]),
		"secret":      fmt.Sprintf("%x", token.secret),
		"secret list": strings.Trim(fmt.Sprint(token.secret[:8]), "[]"),
		"token":       token.Text(),
	} {
		if strings.Contains(text, secret) {
			t.Errorf("text contains the %s: %s", name, text)
		}
	}
}

func ExampleInit() {
	files := new(MemFiles) // Dir("/var/lib/porcupine") on a real node
	first, err := Init(files, Options{Node: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := Load(files, Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(again.Node(), again.Cluster() == first.Cluster())
	// Output: 0000000000000001 true
}

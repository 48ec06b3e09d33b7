package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

// forge makes a certificate of the CA's that may break a rule.
func forge(t *testing.T, ca *authority, change func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := newClock().Now()
	template := &x509.Certificate{
		SerialNumber: must(newSerial()), URIs: []*url.URL{nodeURI(ca.cluster, 9)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, ca.cert.Raw}, PrivateKey: private, Leaf: must(x509.ParseCertificate(der))}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestAttack38_WhoMayNotSpeak: every peer but a node of this cluster is refused in the handshake,
// on both sides (A3: nothing else has been read by then).
func TestAttack38_WhoMayNotSpeak(t *testing.T) {
	clock := newClock()
	us, _ := mustInit(t, Options{Node: 1, Now: clock.Now})
	peer := mustJoin(t, us, Options{Node: 2, Now: clock.Now})
	stranger, _ := mustInit(t, Options{Node: 3, Now: clock.Now})
	if err := func() error { p := openPort(t, &Door{Identity: us}); return p.greet(peer.ClientTLS(1)) }(); err != nil {
		t.Fatalf("a node of the cluster was refused: %v", err)
	}
	selfSigned, err := newAuthority(clock.Now())
	if err != nil {
		t.Fatal(err)
	}
	selfSigned.cluster = us.ca.cluster // a CA of its own that claims to be of this cluster
	for _, test := range []struct {
		name string
		cert *tls.Certificate
	}{
		{"no certificate", nil},
		{"another cluster's node", stranger.certificate()},
		{"wrong CA, our cluster id", forge(t, selfSigned, func(*x509.Certificate) {})},
		{"expired", forge(t, us.ca, func(c *x509.Certificate) { c.NotAfter = clock.Now().Add(-time.Second) })},
		{"not valid yet", forge(t, us.ca, func(c *x509.Certificate) { c.NotBefore = clock.Now().Add(time.Minute) })},
		{"another cluster's name from our CA", forge(t, us.ca, func(c *x509.Certificate) { c.URIs = []*url.URL{nodeURI(stranger.ca.cluster, 9)} })},
		{"no name", forge(t, us.ca, func(c *x509.Certificate) { c.URIs = nil })},
		{"two names", forge(t, us.ca, func(c *x509.Certificate) { c.URIs = append(c.URIs, nodeURI(us.ca.cluster, 10)) })},
		{"the cluster's name", forge(t, us.ca, func(c *x509.Certificate) { c.URIs = []*url.URL{clusterURI(us.ca.cluster)} })},
		{"node zero", forge(t, us.ca, func(c *x509.Certificate) { c.URIs = []*url.URL{nodeURI(us.ca.cluster, 0)} })},
		{"another scheme", forge(t, us.ca, func(c *x509.Certificate) { c.URIs[0].Scheme = "https" })},
		{"no usage of ours", forge(t, us.ca, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} })},
		{"the CA itself", &tls.Certificate{Certificate: [][]byte{us.ca.cert.Raw}, PrivateKey: us.ca.key}},
		{"signed by a node", forgeByNode(t, peer)},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := openPort(t, &Door{Identity: us})
			client := us.base(NodeProtocol)
			client.InsecureSkipVerify = true //nolint:gosec // an attacker does not care
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				if test.cert == nil {
					return new(tls.Certificate), nil
				}
				return test.cert, nil
			}
			if err := p.greet(client); err == nil {
				t.Error("the port let it in")
			}
			if test.cert == nil {
				return
			}
			// The same certificate as a server's: the client refuses.
			server := us.base(NodeProtocol)
			server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return test.cert, nil }
			if err := handshake(t, peer.ClientTLS(cluster.NoNode), server); err == nil {
				t.Error("a client accepted it")
			}
		})
	}
}

// forgeByNode makes a certificate that a node, not the CA, has signed.
func forgeByNode(t *testing.T, node *Identity) *tls.Certificate {
	t.Helper()
	cert := node.certificate()
	key, ok := cert.PrivateKey.(ed25519.PrivateKey)
	if !ok {
		t.Fatal("node's key is of another kind")
	}
	forged := forge(t, &authority{cluster: node.ca.cluster, cert: cert.Leaf, key: key}, func(*x509.Certificate) {})
	forged.Certificate = append(forged.Certificate, node.ca.cert.Raw)
	return forged
}

// handshake gives the client's error.
func handshake(t *testing.T, client, server *tls.Config) error {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if raw, err := l.Accept(); err == nil {
			_ = tls.Server(raw, server).Handshake()
			_ = raw.Close()
		}
	}()
	c, err := tls.Dial("tcp", l.Addr().String(), client)
	if err == nil {
		_ = c.Close()
	}
	_ = l.Close()
	<-done
	return err
}

// TestAttack38_IDMismatch: a node is not taken for another.
func TestAttack38_IDMismatch(t *testing.T) {
	us, _ := mustInit(t, Options{Node: 1})
	peer := mustJoin(t, us, Options{Node: 2})
	p := openPort(t, &Door{Identity: us})
	for want, ok := range map[cluster.NodeID]bool{1: true, cluster.NoNode: true, 2: false, 3: false} {
		err := p.greet(peer.ClientTLS(want))
		if (err == nil) != ok {
			t.Errorf("connection to node %v answered by node 1 = %v, want accepted %v", want, err, ok)
		}
		if !ok && !strings.Contains(fmt.Sprint(err), "want node "+want.String()) {
			t.Errorf("error %v does not say who was wanted", err)
		}
	}
}

// TestAttack38_OldTLS: nothing below TLS 1.3, and nothing without the protocol's name.
func TestAttack38_OldTLS(t *testing.T) {
	us, _ := mustInit(t, Options{Node: 1})
	p := openPort(t, &Door{Identity: us})
	for name, change := range map[string]func(*tls.Config){
		"TLS 1.2":        func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 },
		"no ALPN":        func(c *tls.Config) { c.NextProtos = nil },
		"another ALPN":   func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} },
		"join, no token": func(c *tls.Config) { c.NextProtos = []string{JoinProtocol} },
	} {
		config := us.ClientTLS(1)
		change(config)
		if err := p.greet(config); err == nil {
			t.Errorf("%s: the port let it in", name)
		}
	}
}

// TestAttack38_ClusterExplained: a peer of another cluster is told so, not only "unknown authority".
func TestAttack38_ClusterExplained(t *testing.T) {
	us, _ := mustInit(t, Options{Node: 1})
	them, _ := mustInit(t, Options{Node: 1})
	err := openPort(t, &Door{Identity: them}).greet(us.ClientTLS(1))
	ours, theirs := us.Cluster(), them.Cluster()
	if text := fmt.Sprint(err); !strings.Contains(text, fmt.Sprintf("%x", ours[:])) || !strings.Contains(text, fmt.Sprintf("%x", theirs[:])) {
		t.Errorf("error %q does not name both clusters", text)
	}
}

// rawJoin sends a join request of any content, and gives the answer.
func rawJoin(t *testing.T, addr string, request []byte) (joinAnswer, error) {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{JoinProtocol}}) //nolint:gosec // an attacker does not care
	if err != nil {
		return joinAnswer{}, err
	}
	defer c.Close()
	if err := writeFrame(c, request); err != nil {
		return joinAnswer{}, err
	}
	frame, err := readFrame(c, joinAnswerMax)
	if err != nil {
		return joinAnswer{}, err
	}
	return decodeJoinAnswer(frame)
}

// TestAttack38_Tokens: a token works once, within its time, at its node, with all of its secret.
func TestAttack38_Tokens(t *testing.T) {
	clock := newClock()
	us, _ := mustInit(t, Options{Node: 1, Now: clock.Now})
	p := openPort(t, &Door{Identity: us})
	issue := func() Token {
		t.Helper()
		return must(us.IssueToken([]string{p.addr()}, time.Minute))
	}
	try := func(token Token) error {
		_, _, err := Join(t.Context(), new(MemFiles), token, JoinOptions{Options: Options{Now: clock.Now}})
		return err
	}

	token := issue()
	if err := try(token); err != nil {
		t.Fatalf("first use = %v", err)
	}
	if err := try(token); err == nil || !strings.Contains(err.Error(), "issue another") {
		t.Errorf("replayed token, none open = %v, want a refusal that says what to do", err)
	}
	issue() // another is open: the port talks to joiners
	if err := try(token); err == nil || !strings.Contains(err.Error(), "issue another") {
		t.Errorf("replayed token, another open = %v, want a refusal that says what to do", err)
	}
	wrong := issue()
	wrong.secret[15] ^= 1
	if err := try(wrong); err == nil {
		t.Error("wrong secret was accepted")
	}
	late := issue()
	clock.advance(time.Minute)
	if err := try(late); err == nil {
		t.Error("token was accepted at the end of its time")
	}
	if us.tokens.open(clock.Now()) {
		t.Error("an expired token is open")
	}

	// At a node that did not issue it.
	other := mustJoin(t, us, Options{Node: 2, Now: clock.Now})
	elsewhere := openPort(t, &Door{Identity: other})
	_ = must(other.IssueToken([]string{elsewhere.addr()}, 0))
	token = issue()
	token.Addrs = []string{elsewhere.addr()}
	if err := try(token); err == nil {
		t.Error("token was accepted by a node that did not issue it")
	}
	// At a restarted node.
	token = issue()
	if got := us.tokens.redeem(token.secret[:], clock.Now()); !got {
		t.Error("token is not open")
	}
}

// TestAttack38_TokenLimits: never longer than TokenTTLMax, never more than TokensMax.
func TestAttack38_TokenLimits(t *testing.T) {
	clock := newClock()
	us, _ := mustInit(t, Options{Now: clock.Now})
	for range TokensMax {
		if _, err := us.IssueToken([]string{"a:1"}, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	_, err := us.IssueToken([]string{"a:1"}, time.Hour)
	wantKind(t, "one token too many", err, cluster.KindLimit)
	clock.advance(TokenTTLMax)
	if us.tokens.open(clock.Now()) {
		t.Errorf("a token is open after %v", TokenTTLMax)
	}
	for _, addrs := range [][]string{nil, {""}, {strings.Repeat("a", TokenAddrLenMax+1)}, make([]string, TokenAddrsMax+1)} {
		_, err := us.IssueToken(addrs, 0)
		wantKind(t, fmt.Sprintf("token for %q", addrs), err, cluster.KindInvalid)
	}
}

// TestAttack38_JoinRequests: what a joiner may send, with a good token and without.
func TestAttack38_JoinRequests(t *testing.T) {
	us, _ := mustInit(t, Options{Node: 1})
	taken := errors.New("node id is taken")
	p := openPort(t, &Door{Identity: us, Admit: func(id cluster.NodeID) error {
		if id == 7 {
			return taken
		}
		return nil
	}})
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key))
	forged := append([]byte(nil), csr...)
	forged[len(forged)-1] ^= 1
	for _, test := range []struct {
		name string
		node cluster.NodeID
		csr  []byte
		want string
	}{
		{"no id", 0, csr, "no id"},
		{"the issuer's id", 1, csr, "its data directory was copied"},
		{"the id of a node that is known", 7, csr, taken.Error()},
		{"no certificate request", 2, nil, "certificate request"},
		{"rubbish for a certificate request", 2, []byte("x"), "certificate request"},
		{"a certificate request that it did not sign", 2, forged, "certificate request"},
	} {
		token := must(us.IssueToken([]string{p.addr()}, 0))
		answer, err := rawJoin(t, p.addr(), joinRequest{secret: token.secret, node: test.node, csr: test.csr}.encode())
		if err != nil || !strings.Contains(answer.refusal, test.want) || answer.caKey != nil {
			t.Errorf("%s: refusal %q, key %v, %v; want a refusal with %q", test.name, answer.refusal, answer.caKey != nil, err, test.want)
		}
		if us.tokens.open(time.Now()) {
			t.Errorf("%s: the token is still open", test.name)
		}
	}
	// Without a good secret nothing is told of the rest.
	_ = must(us.IssueToken([]string{p.addr()}, 0))
	answer, err := rawJoin(t, p.addr(), joinRequest{node: 7, csr: []byte("x")}.encode())
	if err != nil || !strings.Contains(answer.refusal, "token") {
		t.Errorf("wrong secret: refusal %q, %v; want one of the token alone", answer.refusal, err)
	}
	for name, request := range map[string][]byte{"short": make([]byte, secretSize+7), "oversize": make([]byte, joinRequestMax+1)} {
		if answer, err := rawJoin(t, p.addr(), request); err == nil {
			t.Errorf("%s request was answered with %+v", name, answer)
		}
	}
}

// TestAttack38_JoinerTrustsTheHash: a joiner sends its secret to nobody but the token's cluster.
func TestAttack38_JoinerTrustsTheHash(t *testing.T) {
	us, _ := mustInit(t, Options{Node: 1})
	them, _ := mustInit(t, Options{Node: 1})
	p := openPort(t, &Door{Identity: them})
	_ = must(them.IssueToken([]string{p.addr()}, 0)) // so that it talks to joiners
	token := must(us.IssueToken([]string{p.addr()}, 0))
	j := &joiner{token: token, options: JoinOptions{Options: Options{Node: 5}.withDefaults(), Dial: func(ctx context.Context, addr string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}}}
	err := j.at(t.Context(), p.addr())
	if err == nil || j.sent {
		t.Errorf("join at another cluster = %v, secret sent %v; want a refusal before that", err, j.sent)
	}
	// Our CA's certificate shown by one who has not its key.
	impostor := &tls.Certificate{Certificate: [][]byte{them.certificate().Certificate[0], us.ca.cert.Raw}, PrivateKey: them.certificate().PrivateKey}
	them.mu.Lock()
	them.cert = impostor
	them.mu.Unlock()
	if err := j.at(t.Context(), p.addr()); err == nil || j.sent {
		t.Errorf("join at an impostor = %v, secret sent %v; want a refusal before that", err, j.sent)
	}
}

// TestJoin: the new node is a full one: it can speak, and admit others.
func TestJoin(t *testing.T) {
	us, _ := mustInit(t, Options{Node: 1})
	known := []string{"10.0.0.1:10090", "10.0.0.2:10090"}
	p := openPort(t, &Door{Identity: us, Known: func() []string { return known }})
	token := must(ParseToken(must(us.IssueToken([]string{"127.0.0.1:1", p.addr()}, 0)).Text())) // the first address is dead
	files := new(MemFiles)
	second, addrs, err := Join(t.Context(), files, token, JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if second.Cluster() != us.Cluster() || second.Node() == us.Node() || fmt.Sprint(addrs) != fmt.Sprint(known) {
		t.Errorf("Join = %v, %v; want another node of %v, and %v", second, addrs, us, known)
	}
	if _, err := Load(files, Options{}); err != nil {
		t.Errorf("Load after Join = %v", err)
	}
	third := mustJoin(t, second, Options{})
	if err := p.greet(third.ClientTLS(1)); err != nil {
		t.Errorf("node that another new node admitted was refused: %v", err)
	}
}

// TestAttack49_ConstantTime: every open token is compared, in constant time, whatever was guessed;
// a guess that shares a prefix with a secret is no better than another.
func TestAttack49_ConstantTime(t *testing.T) {
	var list tokens
	now := newClock().Now()
	var secrets [3][secretSize]byte
	for i := range secrets {
		secrets[i][0] = byte(i)
		if err := list.add(secrets[i], now, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range list.list { // hashes are kept, no secret is
		if strings.Contains(string(list.list[i].hash[:]), string(secrets[i][:])) {
			t.Error("a secret is kept")
		}
	}
	for _, guess := range [][]byte{nil, {}, secrets[0][:15], append(secrets[0][:], 0), make([]byte, 1<<10)} {
		if list.redeem(guess, now) {
			t.Errorf("guess of %d bytes was accepted", len(guess))
		}
	}
	for _, i := range []int{1, 0, 2} {
		if !list.redeem(secrets[i][:], now) || list.redeem(secrets[i][:], now) {
			t.Errorf("secret %d did not work exactly once", i)
		}
	}
}

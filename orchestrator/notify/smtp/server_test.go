package smtp

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is a mail server that answers each command as it is told.
type server struct {
	address string
	// replies are by a command or its first word, "greeting" and "." for the end
	// of a letter; "" closes the connection, "-" never answers.
	replies map[string]string
	offers  []string
	tls     *tls.Config
	direct  bool // TLS from the first byte

	mu       sync.Mutex
	commands []string
	letter   string
	over     chan struct{}
}

// start serves one connection.
func (s *server) start(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address, s.over = l.Addr().String(), make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		s.serve(conn)
	})
	t.Cleanup(func() { close(s.over); _ = l.Close(); done.Wait() })
}

func (s *server) serve(conn net.Conn) {
	if s.direct {
		conn = tls.Server(conn, s.tls)
	}
	in := bufio.NewReader(conn)
	say := func(word, otherwise string) bool {
		reply, told := s.replies[word]
		switch {
		case !told:
			reply = otherwise
		case reply == "":
			return false
		case reply == "-":
			<-s.over
			return false
		}
		_, err := conn.Write([]byte(reply + "\r\n"))
		return err == nil
	}
	if !say("greeting", "220 mail.example ready") {
		return
	}
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		word, _, _ := strings.Cut(line, " ")
		if _, told := s.replies[line]; told {
			word = line
		}
		switch word {
		case "EHLO":
			if !say(word, "250-"+strings.Join(append([]string{"mail.example"}, s.offers...), "\r\n250-")+"\r\n250 SIZE 1000000") {
				return
			}
		case "STARTTLS":
			if !say(word, "220 go ahead") {
				return
			}
			secured := tls.Server(conn, s.tls)
			if secured.Handshake() != nil {
				return
			}
			conn, in = secured, bufio.NewReader(secured)
		case "AUTH":
			if !s.auth(in, conn, line) || !say(word, "235 welcome") {
				return
			}
		case "DATA":
			if !say(word, "354 go on") {
				return
			}
			if !s.read(in) || !say(".", "250 2.0.0 queued as 4XyZ") {
				return
			}
		case "QUIT":
			say(word, "221 bye")
			return
		default:
			if !say(word, "250 ok") {
				return
			}
		}
	}
}

// auth asks for what LOGIN gives.
func (s *server) auth(in *bufio.Reader, conn net.Conn, line string) bool {
	if line != "AUTH LOGIN" {
		return true
	}
	for _, prompt := range []string{"VXNlcm5hbWU6", "UGFzc3dvcmQ6"} {
		if _, err := conn.Write([]byte("334 " + prompt + "\r\n")); err != nil {
			return false
		}
		answer, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		s.mu.Lock()
		s.commands = append(s.commands, strings.TrimSpace(answer))
		s.mu.Unlock()
	}
	return true
}

func (s *server) read(in *bufio.Reader) bool {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			s.mu.Lock()
			s.letter = b.String()
			s.mu.Unlock()
			return true
		}
		b.WriteString(strings.TrimPrefix(line, "."))
	}
}

// said are the commands there were.
func (s *server) said() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, "|")
}

// certificate makes one for 127.0.0.1, and has the process's tests trust its
// authority. It returns the files of certificate and key.
func certificate(dir string) (string, string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return "", "", err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certificate, secret := filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		return "", "", err
	}
	return certificate, secret, os.WriteFile(secret, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
}

var certificateFile, keyFile string

// TestMain puts an authority of its own among those that are trusted, as an
// operator does.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "smtp")
	if err != nil {
		panic(err)
	}
	if certificateFile, keyFile, err = certificate(dir); err != nil {
		panic(err)
	}
	if err := os.Setenv("SSL_CERT_FILE", certificateFile); err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(certificateFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}}
}

package kube

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// services stands in for kube-proxy: what the API server sends to a Service's
// address goes to the pods that the Service selects, in turn. The API server
// reaches it as it would reach a network of its own, by an EgressSelector.
type services struct {
	socket   string
	listener net.Listener

	mu    sync.Mutex
	admin *client         // guarded by mu: asked for the Services and pods
	pods  map[string]*pod // guarded by mu: those that run, by namespace/name
	turn  int             // guarded by mu: counts the connections
}

// pod is one that runs, as far as the network is concerned.
type pod struct {
	// ports are where a container's ports are on this machine.
	ports map[int]int
	// ready reports whether it may be sent anything.
	ready func() bool
}

// serveServices listens at a socket until it is closed.
func serveServices(socket string) (*services, error) {
	ln, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	s := &services{socket: socket, listener: ln, pods: map[string]*pod{}}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s, nil
}

func (s *services) close() {
	s.listener.Close()
	os.Remove(s.socket)
}

// egress is the API server's configuration to come here.
func (s *services) egress() []byte {
	return fmt.Appendf(nil, `apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {uds: {udsName: %q}}
`, s.socket)
}

// look gives the administrator's eyes, needed from the first connection on.
func (s *services) look(admin *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admin = admin
}

// run has a pod take part. Its name is namespace/name.
func (s *services) run(name string, p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods[name] = p
}

// end has a pod take part no longer.
func (s *services) end(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.pods, name)
}

// serve answers one CONNECT and passes bytes on until either side ends.
func (s *services) serve(conn net.Conn) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	request, err := http.ReadRequest(reader)
	if err != nil || request.Method != http.MethodConnect {
		return
	}
	backend, err := s.dial(request.Host)
	if err != nil {
		fmt.Fprintf(conn, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%s", len(err.Error()), err)
		return
	}
	defer backend.Close()
	if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(backend, reader) // it ends with either side
		backend.Close()
	}()
	_, _ = io.Copy(conn, backend)
}

// dial connects to the next ready pod behind a Service's address.
func (s *services) dial(address string) (net.Conn, error) {
	ports, err := s.backends(address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.turn++
	turn := s.turn
	s.mu.Unlock()
	for i := range ports {
		if conn, err := net.DialTimeout("tcp", local(ports[(turn+i)%len(ports)]), 5*time.Second); err == nil {
			return conn, nil
		}
	}
	return nil, fmt.Errorf("no pod behind %s accepts connections", address)
}

// backends are the ports on this machine of the ready pods behind an address.
func (s *services) backends(address string) ([]int, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	admin := s.admin
	s.mu.Unlock()
	if admin == nil {
		return nil, errors.New("nobody can say yet which Services there are")
	}
	found, _, err := admin.do(http.MethodGet, "/api/v1/services?fieldSelector="+url.QueryEscape("spec.clusterIP="+host), nil)
	if err != nil {
		return nil, err
	}
	for _, service := range list(found, "items") {
		for _, p := range list(service, "spec", "ports") {
			if fmt.Sprint(p["port"]) == port {
				return s.selected(admin, service, p["targetPort"])
			}
		}
	}
	return nil, fmt.Errorf("no Service has the address %s", address)
}

// selected are the ports on this machine that a Service's target means.
func (s *services) selected(admin *client, service object, target any) ([]int, error) {
	var labels []string
	selector, _ := dig(service, "spec", "selector").(object)
	for key, value := range selector {
		labels = append(labels, fmt.Sprintf("%s=%s", key, value))
	}
	namespace := text(service, "metadata", "namespace")
	found, _, err := admin.do(http.MethodGet, "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+url.QueryEscape(strings.Join(labels, ",")), nil)
	if err != nil {
		return nil, err
	}
	var ports []int
	for _, item := range list(found, "items") {
		s.mu.Lock()
		running := s.pods[namespace+"/"+text(item, "metadata", "name")]
		s.mu.Unlock()
		if running == nil || !running.ready() {
			continue
		}
		if port, ok := running.ports[containerPort(item, target)]; ok {
			ports = append(ports, port)
		}
	}
	if len(ports) == 0 {
		return nil, fmt.Errorf("Service %s/%s has no ready pod", namespace, text(service, "metadata", "name"))
	}
	return ports, nil
}

// containerPort is the number of a pod's port that a target names or is.
func containerPort(pod object, target any) int {
	if number, ok := target.(float64); ok {
		return int(number)
	}
	for _, container := range list(pod, "spec", "containers") {
		for _, port := range list(container, "ports") {
			if port["name"] == target {
				number, _ := port["containerPort"].(float64)
				return int(number)
			}
		}
	}
	return 0
}

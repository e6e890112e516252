package dialer

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The variables that tell a process of sockets passed to it, see sd_listen_fds(3).
// systemd names the process that is meant by its number. A parent cannot: there
// is none before the fork. In its place listenParentEnv holds the parent's number
// and what tells the sockets from all others:
//
//	STAYOPEN_LISTEN_PARENT=PID:SOCKET[:SOCKET...]
const (
	listenFDsEnv    = "LISTEN_FDS"
	listenPIDEnv    = "LISTEN_PID"
	listenNamesEnv  = "LISTEN_FDNAMES"
	listenParentEnv = "STAYOPEN_LISTEN_PARENT"
)

var listenEnv = []string{listenFDsEnv, listenPIDEnv, listenNamesEnv, listenParentEnv}

// firstFD is the descriptor of the first socket passed.
const firstFD = 3

// HandOver starts the command and passes it the listeners, which it takes with
// [ListenConfig.Inherited]. Both processes then accept from the same queues, so
// that none of what is queued is lost when this one closes its listeners: as soon
// as the other is ready, and not by Drain, which is of no more use.
//
// The listeners come first among the files of the new process (descriptor 3 and
// up), those of cmd.ExtraFiles follow. If cmd.Env is nil the environment is this
// process's own; either way the variables of the hand-over in it are replaced.
// HandOver returns the errors of cmd.Start, and leaves nothing open when it
// fails. It changes cmd.Env, and cmd.ExtraFiles only while it runs.
//
// The new process is the one that is meant, and no other: it takes the listeners
// only if it is this process's own child, and if the sockets at its descriptors
// are those that were passed. So this process must live until they are taken,
// a shell in between must exec the program, and a command with a PID namespace of
// its own is out.
//
// Where a process cannot pass descriptors, on Windows among others, HandOver
// starts nothing and returns an error that is errors.ErrUnsupported.
func HandOver(cmd *exec.Cmd, listeners ...*Listener) (err error) {
	if !passesDescriptors {
		return fmt.Errorf("dialer: HandOver: passing descriptors: %w on this system", errors.ErrUnsupported)
	}
	files, tag, err := passable(listeners)
	defer func() {
		for _, f := range files {
			f.Close()
		}
	}()
	if err != nil {
		return fmt.Errorf("dialer: HandOver: %w", err)
	}
	env := cmd.Env
	if env == nil {
		env = os.Environ()
	}
	cmd.Env = append(withoutListenEnv(env),
		listenFDsEnv+"="+strconv.Itoa(len(listeners)),
		listenNamesEnv+"="+strings.Join(namesOf(listeners), ":"),
		listenParentEnv+"="+tag)
	extra := cmd.ExtraFiles
	cmd.ExtraFiles = append(slices.Clip(files), extra...)
	defer func() { cmd.ExtraFiles = extra }()
	return cmd.Start()
}

// passable copies the descriptors, and says by what they can be told. The files
// are the caller's to close, also with an error.
func passable(listeners []*Listener) (files []*os.File, tag string, err error) {
	tag = strconv.Itoa(os.Getpid())
	for _, l := range listeners {
		f, id, err := l.copyFD()
		if err != nil {
			return files, "", err
		}
		files = append(files, f)
		tag += ":" + strconv.FormatUint(id, 10)
	}
	return files, tag, nil
}

func namesOf(listeners []*Listener) []string {
	var names []string
	for _, l := range listeners {
		names = append(names, l.name)
	}
	return names
}

func withoutListenEnv(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(listenEnv, name)
	})
}

// inheriting lets one call at a time take what was passed.
var inheriting sync.Mutex

// Inherited returns the listeners that were passed to this process: by systemd
// (socket activation, LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES) or by its parent
// with [HandOver], in the order in which they were passed. There are none, and no
// error, if nothing was passed or not to this process; so a server asks here
// first and calls Listen for what it does not find, telling listeners apart by
// their [Listener.Name] or address.
//
// MaxConns and KeepAliveConfig apply to the listeners, the other fields do not.
// The descriptors are closed for programs that this process starts, and the
// variables are removed from the environment, so that none of those takes
// listeners that were not passed to it, and a second call returns nothing.
//
// An error names what is wrong, such as a descriptor that is no TCP listener.
// Nothing is taken then, and the variables stay.
func (lc *ListenConfig) Inherited() ([]*Listener, error) {
	inheriting.Lock()
	defer inheriting.Unlock()
	p, err := readPassed()
	if err != nil {
		return nil, fmt.Errorf("dialer: Inherited: %w", err)
	}
	all, err := lc.takeOver(p)
	if err != nil {
		return nil, fmt.Errorf("dialer: Inherited: %w", err)
	}
	for _, name := range listenEnv {
		os.Unsetenv(name)
	}
	return all, nil
}

// passed is what the environment says was passed to this process.
type passed struct {
	names []string // one for each descriptor, from firstFD on
	ids   []uint64 // empty from systemd
}

// readPassed reads the environment. Nothing is passed if another process is
// meant.
func readPassed() (passed, error) {
	count := os.Getenv(listenFDsEnv)
	ids, meant, err := passedByParent()
	if count == "" || !meant && err == nil && os.Getenv(listenPIDEnv) != strconv.Itoa(os.Getpid()) {
		return passed{}, nil
	}
	if err != nil {
		return passed{}, err
	}
	const most = 1 << 16
	n, err := strconv.Atoi(count)
	if err != nil || n < 0 || n > most {
		return passed{}, fmt.Errorf("%s: got %q, want a number of descriptors", listenFDsEnv, count)
	}
	if meant && len(ids) != n {
		return passed{}, fmt.Errorf("%s is %d, and %s is of %d sockets: want as many", listenFDsEnv, n, listenParentEnv, len(ids))
	}
	p := passed{names: make([]string, n), ids: ids}
	if names := os.Getenv(listenNamesEnv); names != "" {
		copy(p.names, strings.Split(names, ":"))
	}
	return p, nil
}

// passedByParent reads listenParentEnv, and reports whether this process is the
// child that is meant.
func passedByParent() (ids []uint64, meant bool, err error) {
	parent, sockets, _ := strings.Cut(os.Getenv(listenParentEnv), ":")
	if parent != strconv.Itoa(os.Getppid()) {
		return nil, false, nil
	}
	for id := range strings.SplitSeq(sockets, ":") {
		if id == "" {
			continue
		}
		n, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return nil, true, fmt.Errorf("%s: %w", listenParentEnv, err)
		}
		ids = append(ids, n)
	}
	return ids, true, nil
}

// takeOver makes listeners of the descriptors, all or none.
func (lc *ListenConfig) takeOver(p passed) (all []*Listener, err error) {
	if len(p.names) > 0 && !passesDescriptors {
		return nil, fmt.Errorf("%s is set: passing descriptors: %w on this system", listenFDsEnv, errors.ErrUnsupported)
	}
	for i := range p.names {
		if err := checkPassed(firstFD+i, p.ids, i); err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", firstFD+i, err)
		}
	}
	defer func() {
		if err != nil {
			for _, l := range all {
				l.Close()
			}
		}
	}()
	for i, name := range p.names {
		l, err := lc.copyOf(firstFD+i, name)
		if err != nil {
			return all, fmt.Errorf("descriptor %d: %w", firstFD+i, err)
		}
		all = append(all, l)
	}
	for i := range p.names {
		closeFD(firstFD + i)
	}
	return all, nil
}

func checkPassed(fd int, ids []uint64, i int) error {
	id, err := listeningTCP(fd)
	if err != nil {
		return err
	}
	if ids != nil && ids[i] != id {
		return errors.New("it is another socket than the one that was passed")
	}
	return nil
}

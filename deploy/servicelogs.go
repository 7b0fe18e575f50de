package deploy

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/swarm"
	"github.com/docker/docker/pkg/stdcopy"

	"coin.internal/coin-agent/internal/fault"
)

// LogLine is one line that a task has printed. Its text is visible, and secrets in it are
// masked.
type LogLine struct {
	At     time.Time `json:"at"`
	Task   string    `json:"task"`   // its replica, or its node's ID for a global service, and how its ID begins
	Stream string    `json:"stream"` // stdout or stderr; note for a line of the agent itself
	Text   string    `json:"text"`
}

// Streams of lines.
const (
	stdout = "stdout"
	stderr = "stderr"
	noted  = "note"
)

// LogOptions say which lines are read.
type LogOptions struct {
	Lines  int  // the last ones, of all tasks together
	Follow bool // and those that come, until ctx ends
	Failed bool // only of tasks that have failed
	Masks  *Masks
	Begun  func() // is called once the last lines are there, before they are given; may be nil
}

const (
	newestTasks = 20 // the newest tasks, whose lines are read
	taskEvery   = time.Second
)

// ServiceLogs gives the lines of a service's tasks, in order of time, to each, whose error
// ends it. Lines of a task with a secret whose value is unknown are not shown: they might
// have it.
func (e *Engine) ServiceLogs(ctx context.Context, service string, options LogOptions, each func(LogLine) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	tasks, err := loggedTasks(ctx, e, service, options.Failed)
	if err != nil {
		return err
	}
	logs := &logReader{host: e.host, options: options, seen: map[string]time.Time{}, told: map[string]string{}}
	last := logs.last(ctx, tasks)
	if options.Begun != nil {
		options.Begun()
	}
	for _, line := range last {
		if err := each(line); err != nil {
			return err
		}
	}
	if !options.Follow {
		return nil
	}
	lines := make(chan LogLine)
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	all.Go(func() { followTasks(ctx, e, service, logs, lines) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line := <-lines:
			if err := each(line); err != nil {
				return err
			}
		}
	}
}

// loggedTasks gives the newest tasks of a service that have a container, the oldest first.
func loggedTasks(ctx context.Context, e *Engine, service string, failed bool) ([]swarm.Task, error) {
	tasks, err := e.reader.tasks(ctx, filters.NewArgs(filters.Arg("service", service)))
	if err != nil {
		return nil, err
	}
	var logged []swarm.Task
	for _, of := range tasks {
		for _, task := range of {
			ran := task.Status.ContainerStatus != nil && task.Status.ContainerStatus.ContainerID != ""
			if ran && (!failed || broken(task)) {
				logged = append(logged, task)
			}
		}
	}
	slices.SortFunc(logged, func(a, b swarm.Task) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return logged[max(0, len(logged)-newestTasks):], nil
}

// logReader reads the logs of tasks.
type logReader struct {
	host    HostAPI
	options LogOptions

	mu   sync.Mutex
	seen map[string]time.Time // the last line that was read of each task
	told map[string]string    // why the lines of a task were not read, as it was noted last
}

// tail keeps the last lines of a task, as many as there is room for.
type tail struct {
	lines []LogLine
	most  int  // lines
	room  int  // bytes that are left
	cut   bool // lines are left out because they are long
}

func (t *tail) add(line LogLine) {
	t.lines, t.room = append(t.lines, line), t.room-len(line.Text)
	for len(t.lines) > t.most || t.room < 0 {
		t.cut = t.cut || len(t.lines) <= t.most
		t.room += len(t.lines[0].Text)
		t.lines[0] = LogLine{}
		t.lines = t.lines[1:]
	}
}

// last gives the last lines of tasks, in order of time.
func (l *logReader) last(ctx context.Context, tasks []swarm.Task) []LogLine {
	ctx, cancel := context.WithTimeout(ctx, 2*logTime)
	defer cancel()
	var lines []LogLine
	var all sync.WaitGroup
	for _, task := range tasks {
		all.Go(func() {
			found := l.lastOf(ctx, task)
			l.mu.Lock()
			defer l.mu.Unlock()
			lines = append(lines, found...)
		})
	}
	all.Wait()
	slices.SortStableFunc(lines, func(a, b LogLine) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Task, b.Task)) })
	return slices.Clone(lines[max(0, len(lines)-l.options.Lines):]) // the others are not held in memory
}

// lastOf gives the last lines of a task, and notes what is missing. The engine sends the oldest
// first, so they are read to the end.
func (l *logReader) lastOf(ctx context.Context, task swarm.Task) []LogLine {
	ctx, cancel := context.WithTimeout(ctx, logTime) // the engine may wait for a node that does not answer
	defer cancel()
	last := &tail{most: l.options.Lines, room: l.options.Lines*lineBytes + logBytes}
	err := l.read(ctx, task, false, func(line LogLine) {
		last.add(line)
		l.saw(task, line)
	})
	lines := last.lines
	switch {
	case ctx.Err() != nil:
		lines = append(lines, note(task, fmt.Sprintf("lines are missing: the engine did not send all within %s", logTime)))
	case err != nil:
		lines = append(lines, note(task, "its lines cannot be read: "+err.Error()))
	case last.cut:
		lines = append(lines, note(task, "earlier lines are left out, because they are long: ask for fewer, or docker service logs"))
	}
	return lines
}

// saw notes that a line was read.
func (l *logReader) saw(task swarm.Task, line LogLine) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last, known := l.seen[task.ID]; !known || line.At.After(last) {
		l.seen[task.ID] = line.At
	}
}

// note is a line of the agent itself about a task.
func note(task swarm.Task, text string) LogLine {
	return LogLine{At: task.Status.Timestamp.UTC(), Task: taskName(task), Stream: noted, Text: shownLine(text)}
}

// taskName names a task as people know it.
func taskName(task swarm.Task) string {
	place := task.NodeID
	if task.Slot != 0 {
		place = strconv.Itoa(task.Slot)
	}
	return place + "." + task.ID[:min(len(task.ID), 12)]
}

// read reads the last lines of a task, or with follow those after the last one that was
// read, to the end of the stream.
func (l *logReader) read(ctx context.Context, task swarm.Task, follow bool, each func(LogLine)) error {
	if secret := l.options.Masks.unknown(task.Spec); secret != "" {
		if _, told := l.after(task); !told || !follow {
			each(note(task, fmt.Sprintf("not shown, because the value of the secret %s is unknown and cannot be masked: docker service logs", secret)))
		}
		return nil
	}
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: true, Follow: follow, Tail: strconv.Itoa(l.options.Lines)}
	after, told := l.after(task)
	if follow {
		options.Tail = "all"
	}
	if told {
		options.Since = after.Format(time.RFC3339Nano)
	}
	stream, err := l.host.TaskLogs(ctx, task.ID, options)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.Close() })
	defer stop()
	emit := func(line LogLine) {
		if !follow || line.At.After(after) {
			each(line)
		}
	}
	out := &lineWriter{masks: l.options.Masks, line: LogLine{Task: taskName(task), Stream: stdout}, each: emit}
	errors := &lineWriter{masks: l.options.Masks, line: LogLine{Task: taskName(task), Stream: stderr}, each: emit}
	if task.Spec.ContainerSpec != nil && task.Spec.ContainerSpec.TTY {
		_, err = io.Copy(out, stream)
	} else {
		_, err = stdcopy.StdCopy(out, errors, stream)
	}
	out.end()
	errors.end()
	if err != nil && ctx.Err() == nil {
		return fault.WithHint(fmt.Errorf("read the logs of task %s: %w", task.ID, err), "")
	}
	return nil
}

// after gives the time of the last line that was read of a task.
func (l *logReader) after(task swarm.Task) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, told := l.seen[task.ID]
	return at, told
}

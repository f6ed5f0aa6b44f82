// The peer "pgx v4" of the bench: reads tables as it is told on standard input, a JSON object a line, and answers each line
// with one. What it measures is what the peers in Node measure: all rows of a query, decoded and held until the last has come.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v4/pgxpool"
)

type order struct {
	Table   string  `json:"table"`
	Callers int     `json:"callers"`
	Ms      float64 `json:"ms"`
}

type account struct {
	Rows      int64   `json:"rows"`
	Queries   int64   `json:"queries"`
	Sum       int64   `json:"sum"`
	ElapsedMs float64 `json:"elapsedMs"`
	CPUUs     int64   `json:"cpuUs"`
	// In KB, as Linux has it.
	MaxRSS int64  `json:"maxRss"`
	Failed string `json:"failed,omitempty"`
}

func usage() syscall.Rusage {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		fail(err)
	}
	return used
}

func cpuUs(used syscall.Rusage) int64 {
	return (used.Utime.Nano() + used.Stime.Nano()) / 1000
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Reads the table once: how many rows it has, and the sum of the first column.
func readAll(pool *pgxpool.Pool, table string) (int64, int64, error) {
	rows, err := pool.Query(context.Background(), "select * from "+table)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close()
	var all [][]interface{}
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return 0, 0, err
		}
		all = append(all, values)
	}
	var sum int64
	for _, values := range all {
		n, ok := values[0].(int32)
		if !ok {
			return 0, 0, fmt.Errorf("a first column of type %T", values[0])
		}
		sum += int64(n)
	}
	return int64(len(all)), sum, rows.Err()
}

func carryOut(pool *pgxpool.Pool, asked order) account {
	// As the peers in Node do before each reading.
	runtime.GC()
	before := cpuUs(usage())
	start := time.Now()
	end := start.Add(time.Duration(asked.Ms * float64(time.Millisecond)))
	var done account
	var lock sync.Mutex
	var group sync.WaitGroup
	for n := 0; n < asked.Callers; n++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for {
				rows, sum, err := readAll(pool, asked.Table)
				lock.Lock()
				done.Queries++
				done.Rows += rows
				done.Sum += sum
				if err != nil {
					done.Failed = err.Error()
				}
				lock.Unlock()
				if err != nil || !time.Now().Before(end) {
					return
				}
			}
		}()
	}
	group.Wait()
	done.ElapsedMs = float64(time.Since(start)) / float64(time.Millisecond)
	used := usage()
	done.CPUUs = cpuUs(used) - before
	done.MaxRSS = used.Maxrss
	return done
}

func main() {
	if len(os.Args) != 3 {
		fail(fmt.Errorf("usage: pgx URL CONNECTIONS"))
	}
	connections, err := strconv.Atoi(os.Args[2])
	if err != nil {
		fail(err)
	}
	config, err := pgxpool.ParseConfig(os.Args[1])
	if err != nil {
		fail(err)
	}
	config.MaxConns = int32(connections)
	pool, err := pgxpool.ConnectConfig(context.Background(), config)
	if err != nil {
		fail(err)
	}
	defer pool.Close()
	answers := json.NewEncoder(os.Stdout)
	orders := bufio.NewScanner(os.Stdin)
	for orders.Scan() {
		var asked order
		if err := json.Unmarshal(orders.Bytes(), &asked); err != nil {
			fail(err)
		}
		if err := answers.Encode(carryOut(pool, asked)); err != nil {
			fail(err)
		}
	}
}

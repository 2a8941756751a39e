;; Combines many CopyData frames into few, in place: the inner loop of row_packer.ts.
;;
;; A server sends each row in its own frame, with a header of 5 bytes. The receiving server needs about 0.1 µs for each
;; frame (measured: a tenth of the CPU of its COPY with rows of 100 bytes). Frame boundaries have no meaning
;; ("54.2.6. COPY Operations"), so rows are forwarded in frames of thousands of bytes.
;;
;; Written by hand, because JavaScript needs a call for each row to move its bytes. `deno task programs` builds
;; row_packer_program.ts from it.
(module
  (memory (export "memory") 17 17) ;; never grows, so views of it stay valid
  ;; bytes of the last frame still to come
  (global $remaining (mut i32) (i32.const 0))
  ;; end of the output of the last call
  (global $packedEnd (export "packedEnd") (mut i32) (i32.const 0))
  ;; start of what the last call left: a frame that is not CopyData, or a partial header
  (global $restStart (export "restStart") (mut i32) (i32.const 0))

  (func (export "reset") (global.set $remaining (i32.const 0)))

  ;; Packs the bytes between $at and $end, and returns the start of the output. Within a frame the output needs a header of
  ;; its own: it starts 5 bytes before $at. Elsewhere it replaces the omitted headers, so it never reaches unread bytes. A frame
  ;; is closed before it exceeds $limit, unless a single row does.
  (func (export "pack") (param $at i32) (param $end i32) (param $limit i32) (result i32)
    (local $start i32) (local $frame i32) (local $to i32) (local $remaining i32) (local $size i32)
    (local.set $remaining (global.get $remaining))
    (local.set $to (local.get $at))
    (local.set $start (local.get $at))
    (if (local.get $remaining) (then
      (local.set $start (i32.sub (local.get $at) (i32.const 5)))
      (local.set $frame (local.get $start)))) ;; 0: no frame is open
    (block $done
      (loop $row
        (local.set $size (i32.sub (local.get $end) (local.get $at)))
        (if (i32.gt_u (local.get $size) (local.get $remaining))
          (then (local.set $size (local.get $remaining))))
        (call $move (local.get $to) (local.get $at) (local.get $size))
        (local.set $to (i32.add (local.get $to) (local.get $size)))
        (local.set $at (i32.add (local.get $at) (local.get $size)))
        (local.set $remaining (i32.sub (local.get $remaining) (local.get $size)))
        (br_if $done (i32.lt_u (i32.sub (local.get $end) (local.get $at)) (i32.const 5)))
        (br_if $done (i32.ne (i32.load8_u (local.get $at)) (i32.const 0x64))) ;; d
        ;; the length includes itself; the caller rejects invalid ones
        (local.set $size
          (i32.sub (call $reversed (i32.load offset=1 (local.get $at))) (i32.const 4)))
        (br_if $done (i32.gt_u (local.get $size) (i32.const 0x3fffffff)))
        (local.set $remaining (local.get $size))
        (local.set $at (i32.add (local.get $at) (i32.const 5)))
        (if (local.get $frame)
          (then
            (br_if $row (i32.le_u
              (i32.add (i32.sub (local.get $to) (local.get $frame)) (local.get $remaining))
              (local.get $limit)))
            (call $close (local.get $frame) (local.get $to))))
        (local.set $frame (local.get $to))
        (local.set $to (i32.add (local.get $to) (i32.const 5)))
        (br $row)))
    (if (local.get $frame) (then
      (if (i32.eq (i32.sub (local.get $to) (local.get $frame)) (i32.const 5))
        (then (local.set $to (local.get $frame))) ;; nothing of the row has been received yet
        (else (call $close (local.get $frame) (local.get $to))))))
    (global.set $remaining (local.get $remaining))
    (global.set $packedEnd (local.get $to))
    (global.set $restStart (local.get $at))
    (local.get $start))

  ;; Writes the header of the frame whose contents end at $end.
  (func $close (param $frame i32) (param $end i32)
    (i32.store8 (local.get $frame) (i32.const 0x64))
    (i32.store offset=1 (local.get $frame)
      (call $reversed (i32.sub (i32.sub (local.get $end) (local.get $frame)) (i32.const 1)))))

  ;; Swaps between network and native byte order.
  (func $reversed (param $value i32) (result i32)
    (i32.or
      (i32.rotl (i32.and (local.get $value) (i32.const 0x00ff00ff)) (i32.const 24))
      (i32.rotl (i32.and (local.get $value) (i32.const 0xff00ff00)) (i32.const 8))))

  ;; memory.copy towards lower addresses, without its call into the runtime for typical row sizes.
  (func $move (param $to i32) (param $from i32) (param $size i32)
    (local $last i32) (local $tail v128)
    (if (i32.eq (local.get $to) (local.get $from)) (then (return)))
    (if (i32.gt_u (i32.sub (local.get $size) (i32.const 16)) (i32.const 496)) ;; below 16 too: it wraps around
      (then
        (memory.copy (local.get $to) (local.get $from) (local.get $size))
        (return)))
    ;; read first: the last step may overwrite its own input
    (local.set $tail
      (v128.load (i32.sub (i32.add (local.get $from) (local.get $size)) (i32.const 16))))
    (local.set $last (i32.sub (i32.add (local.get $to) (local.get $size)) (i32.const 16)))
    (loop $step
      (if (i32.lt_u (local.get $to) (local.get $last))
        (then
          (v128.store (local.get $to) (v128.load (local.get $from)))
          (local.set $to (i32.add (local.get $to) (i32.const 16)))
          (local.set $from (i32.add (local.get $from) (i32.const 16)))
          (br $step))))
    (v128.store (local.get $last) (local.get $tail))))

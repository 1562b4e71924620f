<?php
// Appends a line to a log: the phase, the live release, and the page that is served.
[, $log, $current, $port, $phase] = $argv;
$live = is_link($current) ? basename(readlink($current)) : 'nothing';
$page = @file_get_contents("http://127.0.0.1:$port/") ?: 'nothing';
file_put_contents($log, "$phase: $live serves $page\n", FILE_APPEND);

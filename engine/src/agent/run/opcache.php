<?php
// Cutover runs this in PHP-FPM, and removes it. The query is a word to answer with, and `look` for a look alone.
preg_match('/^([0-9a-f]{32})(&look)?$/', $_SERVER['QUERY_STRING'] ?? '', $query);
$word = $query[1] ?? '';
$is_look = isset($query[2]);
header('Content-Type: text/plain');
if (!extension_loaded('Zend OPcache')) {
    echo $word, " missing\n";
} elseif (!function_exists('opcache_reset')) {
    echo $word, " disabled\n";
} else {
    $is_reset = $is_look || @opcache_reset();
    $message = error_get_last()['message'] ?? '';
    $status = function_exists('opcache_get_status') ? @opcache_get_status(false) : false;
    // Requests that began before keep the memory: it is emptied when they have ended.
    $is_waiting = is_array($status) && ($status['restart_pending'] || $status['restart_in_progress']);
    if ($is_waiting) {
        echo $word, " waiting\n";
    } elseif ($is_reset) {
        echo $word, " done\n";
    } else {
        echo $word, strpos($message, 'restrict') !== false ? " restricted\n" : " off\n";
    }
}
